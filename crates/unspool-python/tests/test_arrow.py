"""Items as columns."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import unspool

from conftest import Api

pa = pytest.importorskip("pyarrow")


def test_a_table_has_typed_columns(api: Api) -> None:
    items = unspool.pages(api("/items?last=3"))
    table = items.table()
    assert table.column("id").to_pylist() == list(range(300))
    assert [str(field.type) for field in table.schema] == [
        "int64", "string", "list<element: string>", "double",
    ]  # fmt: skip
    assert items.account["complete"] and items.account["items"] == 300


def test_batches_come_while_the_source_goes_on(api: Api) -> None:
    items = unspool.pages(api("/big?count=50000"), paginate="single")
    batches = items.batches()
    first = next(batches)
    assert isinstance(first, pa.RecordBatch)
    assert not items.account["complete"]
    rest = list(batches)
    assert first.num_rows + sum(batch.num_rows for batch in rest) == 50000
    assert all(batch.schema == first.schema for batch in rest)


def test_others_take_the_object_itself(api: Api) -> None:
    reader = pa.RecordBatchReader.from_stream(unspool.pages(api("/items?last=3")))
    assert reader.read_all().num_rows == 300
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(unspool.pages(api("/items?last=3")))
    assert frame["id"].sum() == sum(range(300))
    duckdb = pytest.importorskip("duckdb")
    posts = unspool.pages(api("/items?last=3"))
    assert posts is not None
    (table,) = duckdb.sql("select sum(id), count(*) from posts").fetchall()
    assert table == (sum(range(300)), 300)
    # What has been read is not an empty table.
    with pytest.raises(RuntimeError, match="have been read"):
        pa.RecordBatchReader.from_stream(posts)


def test_what_fails_is_raised(api: Api) -> None:
    with pytest.raises(unspool.TruncatedError):
        unspool.pages(api("/cut"), retries=0).table()
    with pytest.raises(Exception, match="truncated"):
        pa.RecordBatchReader.from_stream(unspool.pages(api("/cut"), retries=0)).read_all()
    with pytest.raises(unspool.SinkError, match="`name`"):
        unspool.pages(api("/items")).table(schema="name int")
    with pytest.raises(unspool.RequestError):
        unspool.ask("3", base_url=api(""), api_key="k", provider="anthropic").table()


def test_a_schema_decides(api: Api) -> None:
    table = unspool.pages(api("/items?last=1")).table(schema="id text\nprice decimal(2)")
    assert str(table.schema.field("price").type) == "decimal128(38, 2)"


def test_a_table_of_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key, name text, data blob)")
        rows = [(n, f"n{n}", b"\xff") for n in range(1000)]
        database.executemany("insert into t values (?, ?, ?)", rows)
    table = unspool.rows(f"sqlite:{file}", table="t").table()
    assert table.num_rows == 1000
    assert table.schema.names == ["id", "name", "data"]
    # The database's own types: there was no JSON in between.
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "binary"]
    assert table.column("data").to_pylist() == [b"\xff"] * 1000
    asked = unspool.rows(f"sqlite:{file}", table="t")
    assert asked.table(schema="name json").num_rows == 1000
    none = unspool.rows(f"sqlite:{file}", "select * from t where id < 0").table()
    assert (none.num_rows, none.schema.names) == (0, ["id", "name", "data"])
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(unspool.rows(f"sqlite:{file}", table="t"))["id"].sum() == 499500


def test_rows_that_have_begun_go_on_as_batches(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key)")
        database.executemany("insert into t values (?)", [(n,) for n in range(100)])
    rows = unspool.rows(f"sqlite:{file}", table="t")
    assert next(rows) == {"id": 0}
    assert rows.table().column("id").to_pylist() == list(range(1, 100))
    rows = unspool.rows(f"sqlite:{file}", table="t")
    batches = rows.batches()
    with pytest.raises(RuntimeError, match="read as batches"):
        next(rows)
    assert batches is not None


@pytest.mark.parametrize("way", ["for", "async for"])
def test_columns_widen_where_an_item_does_not_fit(api: Api, way: str) -> None:
    items = unspool.pages(api("/widening"), paginate="single").batches()
    batches = list(items) if way == "for" else asyncio.run(collected(items))
    kinds = [[str(kind) for kind in batch.schema.types] for batch in batches]
    assert kinds[0] == ["int64", "int64", "list<element: int64>"]
    assert kinds[-1] == ["int64", "double", "string", "string"]
    assert sum(batch.num_rows for batch in batches) == 10_003
    table = unspool.pages(api("/widening"), paginate="single").table()
    assert [str(kind) for kind in table.schema.types] == kinds[-1]
    assert table.column("price").to_pylist() == [1.0] * 10_001 + [0.5, None]
    assert table.column("mixed").to_pylist() == ["[1]"] * 10_001 + ["\"x\"", "[2]"]
    assert table.column("late").to_pylist() == [None] * 10_001 + ["y", None]
    with pytest.raises(unspool.SinkError, match="`price`"):
        unspool.pages(api("/widening"), paginate="single").table(schema="price int")
    # The columns of a stream in C cannot change.
    with pytest.raises(Exception, match="item 10002"):
        reader = pa.RecordBatchReader.from_stream(unspool.pages(api("/widening"), paginate="single"))
        reader.read_all()


def test_neither_tables_nor_batches_import_pandas() -> None:
    pytest.importorskip("pandas")
    program = """if True:
        import sys, unspool
        unspool.rows("sqlite::memory:", "select 1 as one").table()
        list(unspool.rows("sqlite::memory:", "select 1 as one").batches())
        assert "pandas" not in sys.modules"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_column_without_a_type_has_that_of_its_first_batch(tmp_path: Path) -> None:
    """What comes later and does not fit is an error that says what settles it."""
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (v)")
        database.executemany("insert into t values (?)", [(n,) for n in range(10_000)])
        database.execute("insert into t values ('ten thousand')")
    database.close()
    dsn, query = f"sqlite:{file}", "select v from t order by rowid"
    with pytest.raises(unspool.ContentError, match="row 10001, column `v`: .*Int64.* a cast in the statement"):
        unspool.rows(dsn, query).table()
    came = []
    with pytest.raises(unspool.ContentError, match="row 10001"):
        for batch in unspool.rows(dsn, query).batches():
            came += batch.column("v").to_pylist()
    assert came == list(range(10_000))
    cast = unspool.rows(dsn, "select cast(v as text) as v from t order by rowid").table()
    expected = [*map(str, range(10_000)), "ten thousand"]
    assert cast.column("v").to_pylist() == expected
    assert unspool.rows(dsn, query).table(schema="v text").column("v").to_pylist() == expected


async def collected(batches: unspool.Batches) -> list[Any]:
    return [batch async for batch in batches]


def test_batches_come_in_an_event_loop_and_a_cancelled_await_loses_none(api: Api) -> None:
    async def main() -> tuple[int, int]:
        count = late = 0
        batches = unspool.pages(api("/slow?count=60&delay=5"), paginate="single").batches()
        while True:
            try:
                batch = await asyncio.wait_for(anext(batches), 0.05)
            except asyncio.TimeoutError:
                late += 1
            except StopAsyncIteration:
                return count, late
            else:
                count += batch.num_rows

    count, late = asyncio.run(main())
    assert count == 60
    assert late > 1


def test_a_loop_over_batches_that_is_left_closes_the_source(api: Api) -> None:
    items = unspool.pages(api("/big?count=10000000"), paginate="single")
    for _ in items.batches():
        break
    api.wait_until_closed("/big")

    async def main() -> unspool.Items[Any]:
        items = unspool.pages(api("/big?count=10000000"), paginate="single")
        async for _ in items.batches():
            break
        return items

    kept = asyncio.run(main())
    api.wait_until_closed("/big")
    with pytest.raises(RuntimeError, match="was left"):
        next(kept)


def test_what_fails_is_raised_in_an_event_loop(api: Api) -> None:
    with pytest.raises(unspool.TruncatedError):
        asyncio.run(collected(unspool.pages(api("/cut"), retries=0).batches()))


def test_batches_under_trio(api: Api) -> None:
    trio = pytest.importorskip("trio")
    batches = trio.run(collected, unspool.pages(api("/items?last=3")).batches())
    assert sum(batch.num_rows for batch in batches) == 300
