"""How sources end, and what is raised where they do not end well."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import unspool

from conftest import Api


def failure(source: unspool.Items[Any]) -> tuple[list[Any], unspool.UnspoolError]:
    """What came, and what it ended with."""
    got = []
    with pytest.raises(unspool.UnspoolError) as caught:
        for item in source:
            got.append(item)
    # The same with `async for` is in the loop that both share.
    return got, caught.value


def test_a_body_that_is_cut_is_truncated(api: Api) -> None:
    got, error = failure(unspool.pages(api("/cut"), retries=0))
    assert got == [{"id": 1}, {"id": 2}]
    assert type(error) is unspool.TruncatedError
    assert isinstance(error, unspool.IncompleteError) and isinstance(error, EOFError)
    assert error.is_retryable
    assert error.account and error.account["items"] == 2 and not error.account["complete"]


def test_doubts_end_with_an_error_unless_they_are_allowed(api: Api) -> None:
    got, error = failure(unspool.pages(api("/short"), paginate="page"))
    assert len(got) == 2
    assert type(error) is unspool.DoubtError
    assert error.account and error.account["doubts"]
    items = unspool.pages(api("/short"), paginate="page", doubts="allow")
    assert list(items) == got
    assert not items.account["complete"]
    assert items.account["doubts"] == error.account["doubts"]


def test_doubts_are_raised_in_async_for_as_well(api: Api) -> None:
    async def walk() -> None:
        async for _ in unspool.pages(api("/short"), paginate="page"):
            pass

    with pytest.raises(unspool.DoubtError):
        asyncio.run(walk())


def test_who_may_not_ask_is_told(api: Api) -> None:
    _, error = failure(unspool.pages(api("/private"), bearer="hush-hush-hush"))
    assert type(error) is unspool.UnauthorizedError
    assert isinstance(error, PermissionError) and isinstance(error, ConnectionError)
    assert error.status == 401
    assert "hush-hush-hush" not in f"{error} {error!r} {error.account}"


def test_silence_is_a_timeout(api: Api) -> None:
    _, error = failure(unspool.pages(api("/silent"), timeout=0.2, retries=0))
    assert type(error) is unspool.SilenceError
    assert isinstance(error, TimeoutError)


def test_no_upstream_is_a_connection_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        _, error = failure(unspool.pages(url, retries=0))
    assert type(error) is unspool.UpstreamError
    assert isinstance(error, ConnectionError)


def test_what_is_too_large_is_told(api: Api) -> None:
    _, error = failure(unspool.pages(api("/items"), max_item=10))
    assert type(error) is unspool.TooLargeError
    assert isinstance(error, ValueError)


def test_an_answer_and_how_it_ended(api: Api) -> None:
    answer = unspool.ask("3", base_url=api(""), api_key="k", provider="anthropic")
    assert list(answer) == ["0 ", "1 ", "2 "]
    assert answer.outcome["complete"]
    assert answer.outcome["items"] == 3
    answer = unspool.ask("3 limit", base_url=api(""), api_key="k", provider="anthropic")
    assert answer.text() == "0 1 2 "
    assert not answer.outcome["complete"]
    assert "max" in str(answer.outcome["stop"])  # type: ignore[typeddict-item]


def test_an_answer_that_is_cut_has_its_text(api: Api) -> None:
    got, error = failure(unspool.ask("3 cut", base_url=api(""), api_key="k", provider="anthropic"))
    assert "".join(got) == "0 1 2 "
    assert type(error) is unspool.TruncatedError
    assert error.partial_text == "0 1 2 "


def test_an_answer_that_is_left_closes_its_socket(api: Api) -> None:
    async def read() -> unspool.Answer:
        answer = unspool.ask(
            "100000 slowly", base_url=api(""), api_key="k", provider="anthropic"
        )
        async for piece in answer:
            if piece == "3 ":
                break
        return answer

    answer = asyncio.run(read())
    assert answer.account["items"] == 4
    api.wait_until_closed("/v1/messages")


def test_what_happens_in_an_answer_are_dicts(api: Api) -> None:
    events = list(
        unspool.ask("2", items="dict", base_url=api(""), api_key="k", provider="anthropic")
    )
    assert [event["text"] for event in events if event.get("type") == "text"] == ["0 ", "1 "]


def test_a_feed_is_followed_and_resumed(api: Api) -> None:
    items = unspool.events(api("/feed"), items="dict")
    walk = iter(items)
    got = [next(walk)["data"] for _ in range(5)]
    assert got == [f"tick {number}" for number in range(5)]
    assert items.position
    del walk
    api.wait_until_closed("/feed")
    again = iter(unspool.events(api("/feed"), position=items.position))
    assert next(again)["data"] == "tick 5"


def test_rows_of_a_database(tmp_path: Any) -> None:
    import sqlite3

    file = tmp_path / "some.db"
    with sqlite3.connect(file) as database:
        database.execute("create table users (id integer primary key, name text)")
        database.executemany(
            "insert into users values (?, ?)", [(n, f"user {n}") for n in range(1, 1001)]
        )
    dsn = f"sqlite:{file}"
    rows = list(unspool.rows(dsn, "select id, name from users"))
    assert len(rows) == 1000 and rows[41] == {"id": 42, "name": "user 42"}
    (row,) = unspool.rows(dsn, "select name from users where id = ?", params=[7])
    assert row == {"name": "user 7"}
    items = unspool.rows(dsn, table="users", key="id", batch=64)
    walk = iter(items)
    first = [next(walk)["id"] for _ in range(333)]
    rest = unspool.rows(dsn, table="users", key="id", position=items.position)
    assert first + [row["id"] for row in rest] == list(range(1, 1001))
    with pytest.raises(unspool.RequestError):
        list(unspool.rows(dsn, "select nothing from nowhere"))


def test_a_secret_is_looked_up_and_a_string_is_not(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("UNSPOOL_TEST_WORD", "hidden")
    file = tmp_path / "word"
    file.write_text("filed\n")

    def sent(value: str) -> Any:
        source = unspool.pages(api("/echo"), api_key_query={"k": value}, paginate="single")
        (item,) = source
        return item["query"]["k"]

    assert sent("${UNSPOOL_TEST_WORD}") == "${UNSPOOL_TEST_WORD}"
    for plain in [f"@{file}", f"@@{file}", f"$@{file}", f"$$@{file}", "$${A}", "$$$@", "$"]:
        assert sent(plain) == plain
    assert sent(unspool.Secret("${UNSPOOL_TEST_WORD}")) == "hidden"
    assert sent(unspool.Secret(f"@{file}")) == "filed"
