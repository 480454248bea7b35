"""The programs of `examples/python`: what is written today and what unspool has give the same."""

from __future__ import annotations

import asyncio
import importlib.util
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import unspool

from conftest import Api

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


def test_paginate(api: Api) -> None:
    pytest.importorskip("httpx")
    paginate, url = example("paginate"), api("/counted")
    items = collected(paginate.with_unspool(url))
    assert len(items) == 300
    assert collected(paginate.today(url)) == items


def test_generate_text(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    generate_text = example("generate_text")
    pieces = collected(generate_text.with_unspool("20", api("")))
    assert "".join(pieces) == "".join(f"{number} " for number in range(20))
    assert collected(generate_text.today("20", api(""))) == pieces
    assert collected(generate_text.today("3 limit", api(""))) == ["0 ", "1 ", "2 "]
    with pytest.raises(RuntimeError, match="stopped early"):
        collected(generate_text.with_unspool("3 limit", api("")))


def test_events(api: Api) -> None:
    pytest.importorskip("httpx")
    events, url = example("events"), api("/feed?count=20")

    async def first(items: AsyncGenerator[Any, None]) -> list[Any]:
        got = []
        async for item in items:
            got.append(item)
            if len(got) == 20:
                break
        await items.aclose()
        return got

    got = asyncio.run(first(events.with_unspool(url)))
    assert got == [f"tick {number}" for number in range(20)]
    assert asyncio.run(first(events.today(url))) == got


def test_database_cursor(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key, name text)")
        database.executemany("insert into t values (?, ?)", [(n, f"n{n}") for n in range(1000)])
    cursor = example("database_cursor")
    rows = collected(cursor.with_unspool(str(file), "select * from t"))
    assert len(rows) == 1000
    assert collected(cursor.today(str(file), "select * from t")) == rows


def test_number_stream(api: Api) -> None:
    numbers = example("number_stream")
    assert asyncio.run(numbers.total(numbers.number_stream(4))) == 6
    assert isinstance(unspool.pages(api("/mixed")), AsyncGenerator)


def test_they_run_as_programs(api: Api) -> None:
    command = [sys.executable, str(EXAMPLES / "paginate.py"), api("/items?last=1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 100
