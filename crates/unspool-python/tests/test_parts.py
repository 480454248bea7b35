"""Sources in parts."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import pytest
import unspool
from unspool._parts import _share

from conftest import Api, Postgres


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


@pytest.mark.parametrize("count", [100, 250])
def test_a_part_is_a_table(api: Api, count: int) -> None:
    parts = unspool.parts(unspool.pages(api(f"/offsets?count={count}"), paginate="offset"), 2)
    tables = [part.table() for part in parts]
    assert [value for table in tables for value in table.column("id").to_pylist()] == list(range(count))
    short = json.loads(parts[-1].description)
    short["url"] = api(f"/offsets?count={count - 10}")
    with pytest.raises(unspool.IncompleteError):
        unspool.Part(json.dumps(short), parts[-1].count).table()
    table = parts[0].table("id double\nprice text")
    assert [str(kind) for kind in table.schema.types[:2]] == ["double", "string"]


def test_a_table_of_postgres_is_cut_by_its_blocks(postgres: Postgres) -> None:
    postgres.execute("create table t as select n as id, repeat('x', 200) from generate_series(0, 9999) n")
    parts = unspool.parts(unspool.rows(postgres.dsn, table="t"), 4)
    assert len(parts) == 4
    assert sorted(ids(parts)) == list(range(10000))
    assert sum(part.table().num_rows for part in parts) == 10000
    # A statement without a key cannot be cut.
    assert len(unspool.parts(unspool.rows(postgres.dsn, "select id from t"), 4)) == 1
