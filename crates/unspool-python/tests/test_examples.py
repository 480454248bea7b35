"""The programs of `examples/python`: what is written today and what unspool has give the same."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import unspool

from conftest import Demo

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def collected(items: AsyncGenerator[Any, None]) -> list[Any]:
    async def collect() -> list[Any]:
        return [item async for item in items]

    return asyncio.run(collect())


def test_paginate(fresh_demo: Demo) -> None:
    demo = fresh_demo
    httpx = pytest.importorskip("httpx")
    paginate = example("paginate")
    # Once the API of the demo says that it is asked too often, and once it drops the connection.
    with pytest.raises(httpx.HTTPStatusError, match="429"):
        collected(paginate.today(demo.posts))
    with pytest.raises(httpx.RemoteProtocolError):
        collected(paginate.today(demo.posts))
    posts = collected(paginate.with_unspool(demo.posts))
    assert [post["id"] for post in posts] == list(range(1, 5001))
    assert collected(paginate.today(demo.posts)) == posts


def test_generate_text(fresh_demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = fresh_demo
    pytest.importorskip("anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    generate_text = example("generate_text")
    # At first the model is overloaded, which is why unspool asks twice.
    poem = collected(generate_text.with_unspool("a poem", demo.model))
    assert "".join(poem).startswith("A loop was told to bring the pages all;")
    assert collected(generate_text.today("a poem", demo.model)) == poem
    # What is cut looks like an end to one, and not to the other.
    assert collected(generate_text.today("a poem, briefly", demo.model)) == poem[:12]
    with pytest.raises(unspool.TruncatedError) as caught:
        collected(generate_text.with_unspool("a poem, briefly", demo.model))
    assert caught.value.partial_text == "".join(poem[:12])


def test_events(demo: Demo) -> None:
    httpx = pytest.importorskip("httpx")
    events = example("events")
    ticks = collected(events.with_unspool(demo.ticks))
    assert [json.loads(tick)["n"] for tick in ticks] == list(range(1, 13))

    async def until_it_breaks() -> list[str]:
        got = []
        with pytest.raises(httpx.RemoteProtocolError):
            async for tick in events.today(demo.ticks):
                got.append(tick)
        return got

    assert asyncio.run(until_it_breaks()) == ticks[:4]


def test_database_cursor(demo: Demo) -> None:
    cursor = example("database_cursor")
    sql = "select * from orders where id <= 1000"
    rows = collected(cursor.with_unspool(demo.database, sql))
    assert len(rows) == 1000
    assert collected(cursor.today(demo.database, sql)) == rows


def test_number_stream(demo: Demo) -> None:
    numbers = example("number_stream")
    assert asyncio.run(numbers.total(numbers.number_stream(4))) == 6
    assert isinstance(unspool.pages(demo.posts), AsyncGenerator)


def test_they_run_as_programs(demo: Demo) -> None:
    for arguments, count in [
        (["paginate.py", demo.posts], 5000),
        (["events.py", demo.ticks], 12),
        (["database_cursor.py", demo.database, "select 1 as one"], 1),
        (["number_stream.py"], 1),
    ]:
        command = [sys.executable, str(EXAMPLES / arguments[0]), *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == count
