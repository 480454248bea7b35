"""Items as columns."""

from __future__ import annotations

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


def test_a_table_of_rows(tmp_path: Any) -> None:
    import sqlite3

    file = tmp_path / "a.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (id integer primary key, name text)")
        database.executemany("insert into t values (?, ?)", [(n, f"n{n}") for n in range(1000)])
    table = unspool.rows(f"sqlite:{file}", table="t").table()
    assert table.num_rows == 1000
    assert table.schema.names == ["id", "name"]
