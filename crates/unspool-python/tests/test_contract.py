"""What every source promises, through Python: the library's contract, for each source and loop."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import unspool

from conftest import Api

Source = unspool.Items[Any]
SECRET = "hush-hush"
#: The connection of this statement is terminated half-way.
KILLED = """select i, case when i = 50000 then pg_terminate_backend(pg_backend_pid()) end as killed
    from generate_series(1, 100000) i"""


@dataclass
class Subject:
    """A source as the cases want it."""

    #: So many items; takes `position` where it resumes.
    whole: Callable[..., Source]
    count: int
    #: How many HTTP requests its first item takes.
    requests: int = 1
    resumes: bool = True
    #: Stops before its end, is refused, has doubts, and takes long.
    cut: Callable[[], Source] | None = None
    #: What that is in the end: where a record's answer is cut, the others are asked for all the same.
    cut_is: type[unspool.IncompleteError] = unspool.TruncatedError
    refused: Callable[[], Source] | None = None
    doubtful: Callable[..., Source] | None = None
    slow: Callable[[], Source] | None = None
    slow_path: str = ""


def subjects(api: Api, dsn: str, folder: Path) -> dict[str, Subject]:
    file, records = folder / "a.db", folder / "records.ndjson"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key)")
        database.executemany("insert into t values (?)", [(n,) for n in range(50)])
    database.close()
    records.write_text("".join(f'{{"n": {n % 3 + 1}}}\n' for n in range(8)))
    cut = folder / "cut.ndjson"
    cut.write_text("".join(f'{{"n": 3, "end": "{end}"}}\n' for end in ["", "", "cut", ""]))
    model = {"base_url": api(""), "api_key": SECRET, "provider": "anthropic", "model": "claude"}
    elsewhere = model | {"base_url": api("/private"), "retries": 0}
    token = {"bearer": SECRET}
    number = {"type": "integer"}
    return {
        "pages": Subject(
            lambda **more: unspool.pages(api("/items?last=3"), **token, **more), 300,
            cut=lambda: unspool.pages(api("/cut"), retries=0, **token),
            refused=lambda: unspool.pages(api("/private"), **token),
            doubtful=lambda **more: unspool.pages(api("/short"), **token, **more),
            slow=lambda: unspool.pages(api("/slow"), **token), slow_path="/slow",
        ),
        "events": Subject(
            lambda **more: unspool.events(api("/feed?count=30"), once=True, **token, **more), 30,
            cut=lambda: unspool.events(api("/feedcut"), once=True, retries=0, reconnects=0, **token),
            refused=lambda: unspool.events(api("/private"), **token),
            slow=lambda: unspool.events(api("/feed?delay=20"), **token), slow_path="/feed",
        ),
        "ask": Subject(
            lambda **more: unspool.ask("20", **model, **more), 20, resumes=False,
            cut=lambda: unspool.ask("3 cut", **model),
            refused=lambda: unspool.ask("3", **elsewhere),
            doubtful=lambda **more: unspool.ask("say x", schema=number, **model, **more),
            slow=lambda: unspool.ask("100000 slowly", **model), slow_path="/v1/messages",
        ),
        "ask_each": Subject(
            lambda **more: unspool.ask_each(records, "{n}", **model, **more), 8,
            cut=lambda: unspool.ask_each(cut, "{n} {end}", retries=0, **model), cut_is=unspool.DoubtError,
            refused=lambda: unspool.ask_each(records, "{n}", **elsewhere),
            doubtful=lambda **more: unspool.ask_each(records, "say x", schema=number, **model, **more),
            slow=lambda: unspool.ask_each(records, "1000 slowly", **model), slow_path="/v1/messages",
        ),
        "rows": Subject(
            lambda **more: unspool.rows(f"sqlite:{file}", table="t", key="id", **more), 50, 0,
            cut=(lambda: unspool.rows(dsn, KILLED, retries=0)) if dsn else None,
            refused=lambda: unspool.rows(f"sqlite:{file}", "select no_such_column from t"),
        ),
    }


#: The cases for which rows come from a database with a server.
NEED_SERVER = ["test_what_is_cut_is_an_error"]
NAMES = ["pages", "events", "ask", "ask_each", "rows"]


@pytest.fixture(params=NAMES)
def subject(api: Api, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
    wants_server = request.param == "rows" and request.node.originalname in NEED_SERVER
    dsn = request.getfixturevalue("postgres").dsn if wants_server else ""
    return subjects(api, dsn, tmp_path)[request.param]


@pytest.fixture(params=["for", "async for"])
def drained(request: pytest.FixtureRequest) -> Callable[[Source], tuple[list[Any], Any]]:
    """What came in a loop, and what it ended with."""

    def by_for(source: Source) -> tuple[list[Any], Any]:
        came = []
        try:
            for item in source:
                came.append(item)
        except unspool.UnspoolError as error:
            return came, error
        return came, None

    async def by_async_for(source: Source) -> tuple[list[Any], Any]:
        came = []
        try:
            async for item in source:
                came.append(item)
        except unspool.UnspoolError as error:
            return came, error
        return came, None

    if request.param == "for":
        return by_for
    return lambda source: asyncio.run(by_async_for(source))


Drained = Callable[[Source], tuple[list[Any], Any]]


def asked(api: Api) -> int:
    return sum(count for path, count in api.stat()["hits"].items() if path != "/stat")


def test_nothing_happens_before_the_first_item(api: Api, subject: Subject) -> None:
    before = asked(api)
    source = subject.whole()
    assert source.account["requests"] == 0 and source.account["items"] == 0
    assert repr(source)
    source.close()
    assert asked(api) == before


def test_a_demand_makes_only_the_requests_that_its_item_needs(api: Api, subject: Subject) -> None:
    before = asked(api)
    source = subject.whole()
    next(source)
    assert asked(api) - before == subject.requests
    # A statement is one, too.
    assert source.account["requests"] == 1
    source.close()


def test_the_end_mark_is_the_end_and_stays_it(subject: Subject, drained: Drained) -> None:
    source = subject.whole()
    items, error = drained(source)
    assert (len(items), error) == (subject.count, None)
    account = source.account
    assert account["complete"] and account["items"] == subject.count and not account["doubts"]
    for _ in range(3):
        assert drained(source) == ([], None)
        with pytest.raises(StopIteration):
            next(source)
    assert source.account == account and source.is_closed


def test_a_failure_ends_with_one_error_that_has_the_account(subject: Subject, drained: Drained) -> None:
    assert subject.refused
    source = subject.refused()
    items, error = drained(source)
    assert items == [] and isinstance(error, unspool.UnspoolError)
    assert error.account is None or not error.account["complete"]
    assert not source.account["complete"]
    assert drained(source) == ([], None)


def test_what_is_cut_is_an_error(subject: Subject, drained: Drained) -> None:
    assert subject.cut
    source = subject.cut()
    items, error = drained(source)
    assert items and isinstance(error, subject.cut_is), error
    if subject.cut_is is unspool.DoubtError:
        assert [bool(row["error"]) for row in items] == [False, False, True, False]
        assert "truncated" in items[2]["error"] and items[2]["answer"] == "0 1 2 "
    assert not source.account["complete"]


def test_doubts_are_an_error_unless_they_are_allowed(subject: Subject, drained: Drained) -> None:
    if not subject.doubtful:
        pytest.skip("it has no doubts")
    items, error = drained(subject.doubtful())
    assert items and isinstance(error, unspool.DoubtError), error
    assert error.account and error.account["doubts"]
    source = subject.doubtful(doubts="allow")
    assert drained(source) == (items, None)
    assert source.account["doubts"] == error.account["doubts"] and not source.account["complete"]


@pytest.mark.parametrize("way", ["close", "break", "async break"])
def test_half_way_it_closes_its_connection_and_sends_nothing_more(
    api: Api, subject: Subject, way: str
) -> None:
    if not subject.slow:
        pytest.skip("it has no connection")
    source = subject.slow()

    async def leave() -> None:
        async for _ in source:
            break

    if subject.slow_path == "/v1/messages" and subject.count == 8:
        # No answer is whole by then.
        async def wait() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(source), 1)
            await source.aclose()

        asyncio.run(wait())
    elif way == "async break":
        asyncio.run(leave())
    elif way == "break":
        for _ in source:
            break
    else:
        next(source)
        source.close()
    api.wait_until_closed(subject.slow_path)
    before = asked(api)
    assert not source.account["complete"]
    assert asked(api) == before


def test_resuming_after_any_item_gives_exactly_the_rest(subject: Subject, drained: Drained) -> None:
    if not subject.resumes:
        with pytest.raises(TypeError):
            subject.whole(position={})
        return
    items, _ = drained(subject.whole())
    for taken in {1, 2, subject.count // 2, subject.count - 1, subject.count}:
        source = subject.whole()
        for _ in range(taken):
            next(source)
        position = json.loads(json.dumps(source.position))
        source.close()
        assert source.position == position
        rest, error = drained(subject.whole(position=position))
        assert (rest, error) == (items[taken:], None), taken


def test_a_foreign_position_is_refused_before_anything_is_sent(api: Api, subject: Subject) -> None:
    if not subject.resumes:
        pytest.skip("it does not resume")
    before = asked(api)
    with pytest.raises(unspool.RequestError, match="position"):
        list(subject.whole(position={"source": "nowhere", "version": 1}))
    assert asked(api) == before


def test_no_credential_is_in_anything_that_a_source_shows(subject: Subject, drained: Drained) -> None:
    shown: list[Any] = []
    for make in (subject.whole, subject.cut, subject.refused, subject.doubtful):
        if make is None:
            continue
        source = make()
        _, error = drained(source)
        shown += [repr(source), source.account, source.position, source.waiting]
        shown += [str(error), repr(error), getattr(error, "account", None)]
    assert SECRET not in json.dumps(shown)
