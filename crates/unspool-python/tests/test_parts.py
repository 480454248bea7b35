"""Sources in parts, and the engines that read them."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import unspool
from unspool._parts import _share

from conftest import Api


def ids(parts: list[unspool.Part]) -> list[int]:
    return [item["id"] for part in parts for item in pickle.loads(pickle.dumps(part)).items()]


@pytest.mark.parametrize("n", [1, 3, 7, 50])
@pytest.mark.parametrize("paginate", [None, "page", "page:page,first=1,last=7"])
def test_pages_are_cut_by_their_numbers(api: Api, n: int, paginate: str | None) -> None:
    parts = unspool.parts(unspool.pages(api("/counted?last=7"), paginate=paginate), n)
    assert len(parts) == min(n, 7)
    assert ids(parts) == list(range(700))


@pytest.mark.parametrize("n", [1, 3, 50])
def test_pages_are_cut_by_their_offsets(api: Api, n: int) -> None:
    parts = unspool.parts(unspool.pages(api("/offsets?count=450"), paginate="offset"), n)
    assert len(parts) == min(n, 5)
    assert ids(parts) == list(range(450))


def test_what_cannot_be_known_in_advance_is_one_part(api: Api) -> None:
    parts = unspool.parts(unspool.pages(api("/items?last=3")), 8)
    assert len(parts) == 1
    assert ids(parts) == list(range(300))


def test_rows_are_cut_by_their_key(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key, name text)")
        database.executemany("insert into t values (?, ?)", [(n, f"n{n}") for n in range(1000)])
    parts = unspool.parts(unspool.rows(f"sqlite:{file}", table="t", key="id"), 4)
    assert len(parts) == 4
    assert ids(parts) == list(range(1000))


def test_a_part_that_is_short_fails(api: Api) -> None:
    part = unspool.parts(unspool.pages(api("/offsets?count=450"), paginate="offset"), 3)[-1]
    description = json.loads(part.description)
    description["url"] = api("/offsets?count=440")
    with pytest.raises(unspool.IncompleteError):
        list(unspool.Part(json.dumps(description), part.count).items())


def test_a_part_has_no_credentials(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(unspool.RequestError, match="by name|as it is"):
        unspool.parts(unspool.pages(api("/counted"), bearer="hush-hush"), 2)
    monkeypatch.setenv("UNSPOOL_TEST_TOKEN", "hush-hush")
    named = unspool.pages(
        api("/counted"), bearer=unspool.Secret("${UNSPOOL_TEST_TOKEN}"), paginate="page"
    )
    parts = unspool.parts(named, 2)
    assert "hush" not in repr(parts)
    assert ids(parts) == list(range(300))


def test_a_rate_is_divided_among_the_parts(api: Api) -> None:
    source = unspool.pages(api("/counted?last=4"), paginate="page", rate="100/s")
    rates = [json.loads(part.description)["http"]["rate"] for part in unspool.parts(source, 4)]
    assert rates == ["25/s"] * 4
    assert _share(10, "s", 4) == "2/s"
    assert _share(1, "s", 8) == "7/m"
    assert _share(1, "m", 7) == "8/h"


def test_dask_reads_the_parts(api: Api) -> None:
    dask = pytest.importorskip("dask")
    import unspool.dask

    source = unspool.pages(api("/counted?last=7"), paginate="page")
    with dask.config.set(scheduler="synchronous"):
        bag = unspool.dask.bag(source, npartitions=3)
        assert bag.npartitions == 3
        assert bag.pluck("id").sum().compute() == sum(range(700))
        frame = unspool.dask.dataframe(source, npartitions=3)
        assert int(frame["id"].sum().compute()) == sum(range(700))
        assert len(frame) == 700
        doubtful = unspool.dask.bag(unspool.pages(api("/short"), paginate="single"), 2)
        assert doubtful.count().compute() == 2
        with pytest.raises(unspool.DoubtError):
            unspool.dask.bag(unspool.pages(api("/short")), 1).count().compute()


def test_a_killed_worker_of_dask_changes_nothing(api: Api) -> None:
    distributed = pytest.importorskip("distributed")
    import unspool.dask

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        bag = unspool.dask.bag(
            unspool.pages(api("/counted?last=40&delay=25"), paginate="page"), npartitions=8
        )
        workers = [info["id"] for info in client.scheduler_info()["workers"].values()]
        assert len(workers) == 2
        before = api.hits("/counted")
        total = client.compute(bag.pluck("id").fold(lambda a, b: a + b))
        while api.hits("/counted") < before + 6:
            assert not total.done()
        victim = next(iter(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        assert total.result(timeout=100) == sum(range(4000))


def full(name: str) -> Any:
    if os.environ.get("UNSPOOL_TEST_FULL") != "1":
        pytest.skip("only with UNSPOOL_TEST_FULL=1, as `scripts/test --full` sets it")
    return pytest.importorskip(name)


def test_ray_reads_the_parts_though_a_worker_is_killed(api: Api) -> None:
    ray = full("ray")
    import unspool.ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        source = unspool.pages(api("/counted?last=40&delay=25"), paginate="page")
        before = api.hits("/counted")

        def kill() -> None:
            while api.hits("/counted") < before + 8:
                pass
            for pid in reading(os.getpid()):
                os.kill(pid, signal.SIGKILL)
                return

        killer = threading.Thread(target=kill)
        killer.start()
        dataset = ray.data.read_datasource(unspool.ray.Source(source), override_num_blocks=8)
        assert dataset.sum("id") == sum(range(4000))
        killer.join()
        assert dataset.count() == 4000
    finally:
        ray.shutdown()


def reading(_parent: int) -> list[int]:
    """The workers of Ray that run a task."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::") and b"IDLE" not in command and b"Actor" not in command:
                found.append(int(entry.name))
    return found
