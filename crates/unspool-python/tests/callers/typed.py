"""What callers write, for `mypy --strict`; it is not run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import unspool


async def walk() -> None:
    async for post in unspool.pages("https://api.example.com/posts", params={"per_page": 100}):
        print(post["title"])
    async for text in unspool.pages("https://api.example.com/posts", items="bytes", auth=("a", "b")):
        text.decode()
    async with unspool.pages("https://api.example.com/posts", items="str") as posts:
        first: str = await anext(posts)
        print(first.upper())
    answer = unspool.ask("Write a poem", model="claude-sonnet-4-6", max_tokens=100)
    async for piece in answer:
        print(piece.upper())
    print(answer.outcome["complete"], (await unspool.ask("More").whole()).upper())


def loop() -> Iterator[Any]:
    items = unspool.rows("sqlite:a.db", "select 1 as one", params=[1, "two", None])
    yield from items
    if items.account["complete"] and items.position is not None:
        yield from unspool.rows("sqlite:a.db", table="users", key="id", position=items.position)


def feed() -> AsyncIterator[bytes]:
    return unspool.events("wss://example.com/feed", items="bytes", send=["hello"])


def generator(source: unspool.Items[bytes]) -> AsyncGenerator[bytes, None]:
    return source


def failed() -> float | None:
    try:
        list(unspool.pages("https://api.example.com/posts", bearer=unspool.Secret("${TOKEN}")))
    except unspool.StatusError as error:
        return error.retry_after if error.status == 429 else None
    except unspool.IncompleteError as error:
        print(error.account)
    return None
