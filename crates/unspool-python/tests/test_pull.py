"""Items into files and tables."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import unspool

from conftest import Api


def test_items_go_into_a_file(api: Api, tmp_path: Path) -> None:
    target = tmp_path / "items.jsonl"
    pulled = unspool.pages(api("/items?last=3")).to(target)
    assert [json.loads(line)["id"] for line in target.open()] == list(range(300))
    assert pulled["sink"]["items"] == 300
    assert pulled["source"] and pulled["source"]["complete"]


def test_a_file_of_columns_has_their_types(api: Api, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "items.parquet"
    unspool.pages(api("/items?last=3")).to(target, state=tmp_path / "items.state")
    # With a state it is numbered parts, each of them whole.
    table = parquet.read_table(tmp_path / "items-00001.parquet")
    assert table.column("id").to_pylist() == list(range(300))
    assert str(table.schema.field("price").type) == "double"


def test_a_run_that_was_killed_goes_on(api: Api, tmp_path: Path) -> None:
    target, state = tmp_path / "items.jsonl", tmp_path / "items.state"
    code = f"""if True:
        import unspool
        print("begun", flush=True)
        unspool.pages({api("/items?last=40&delay=20")!r}).to(
            {str(target)!r}, state={str(state)!r}, checkpoint_after=0.05)
    """
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout and child.stdout.readline() == "begun\n"
    while not (target.exists() and target.stat().st_size > 30_000):
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    before = api.hits("/items")
    pulled = unspool.pages(api("/items?last=40&delay=20")).to(target, state=state)
    assert [json.loads(line)["id"] for line in target.open()] == list(range(4000))
    assert pulled["sink"]["before"] > 0
    assert api.hits("/items") - before < 40
    # Once more there is nothing to do.
    before = api.hits("/items")
    again = unspool.pages(api("/items?last=40&delay=20")).to(target, state=state)
    assert again["source"] is None and api.hits("/items") == before


def test_doubts_are_raised_and_the_items_are_there(api: Api, tmp_path: Path) -> None:
    target = tmp_path / "items.jsonl"
    with pytest.raises(unspool.DoubtError):
        unspool.pages(api("/short"), paginate="page").to(target)
    assert len(target.read_text().splitlines()) == 2
    target = tmp_path / "allowed.jsonl"
    pulled = unspool.pages(api("/short"), paginate="page").to(target, doubts="allow")
    assert pulled["source"] and pulled["source"]["doubts"]


def test_wrong_targets_are_refused_before_anything_is_asked(api: Api, tmp_path: Path) -> None:
    before = api.hits("/items")
    with pytest.raises(unspool.RequestError):
        unspool.pages(api("/items")).to(tmp_path / "items.docx")
    assert api.hits("/items") == before
    with pytest.raises(unspool.SinkError) as caught:
        unspool.pages(api("/items")).to(tmp_path / "missing" / "items.jsonl")
    assert isinstance(caught.value, OSError)


def test_a_run_can_be_awaited_and_cancelled(api: Api, tmp_path: Path) -> None:
    async def run() -> None:
        pulled = await unspool.pages(api("/items?last=3")).ato(tmp_path / "items.jsonl")
        assert pulled["sink"]["items"] == 300
        endless = unspool.pages(api("/slow")).ato(tmp_path / "slow.jsonl")
        task = asyncio.create_task(endless)
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(api.wait_until_closed, "/slow")

    asyncio.run(run())


def test_progress_is_shown_to_whoever_wants_it(api: Api, tmp_path: Path) -> None:
    accounts: list[Any] = []
    unspool.pages(api("/counted?last=5&delay=60"), paginate="page").to(
        tmp_path / "a.jsonl", progress=accounts.append
    )
    assert accounts[-1]["items"] == 500
    assert len({account["items"] for account in accounts}) > 1
    tqdm = pytest.importorskip("tqdm")
    shown = io.StringIO()

    class Bar(tqdm.tqdm):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(file=shown, **options)

    url = api("/counted?last=5&delay=60")
    unspool.pages(url, paginate="page").to(tmp_path / "b.jsonl", progress=Bar)
    assert "500/500" in shown.getvalue()


def test_progress_without_tqdm_is_a_line(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    unspool.pages(api("/items?last=3")).to(tmp_path / "a.jsonl", progress=True)
    assert capsys.readouterr().err.endswith("a.jsonl: 300 items\n")
    unspool.pages(api("/items?last=3")).to(tmp_path / "b.jsonl", progress=False)
    assert capsys.readouterr().err == ""


def test_rows_go_into_a_table(api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "a.db", tmp_path / "b.db"
    with sqlite3.connect(source) as database:
        database.execute("create table t (id integer primary key, name text)")
        database.executemany("insert into t values (?, ?)", [(n, f"n{n}") for n in range(100)])
    unspool.pull(unspool.rows(f"sqlite:{source}", table="t", key="id"), f"sqlite:{target}#copied")
    with sqlite3.connect(target) as database:
        assert database.execute("select count(*), sum(id) from copied").fetchone() == (100, 4950)
