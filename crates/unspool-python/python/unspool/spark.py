"""Sources as data frames and streams of PySpark.

>>> spark.dataSource.register(unspool.spark.Source)
>>> options = unspool.spark.options(unspool.pages(url, paginate="page"), parts=8)
>>> posts = spark.read.format("unspool").options(**options).load()
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow
from pyspark.sql import datasource as spark
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from ._items import Items, opened
from ._parts import parts, written


def options(source: Items[Any], parts: int = 8, batch: int = 10_000) -> dict[str, str]:
    """What stands for a source: in how many parts it is read, or how many items a micro-batch has."""
    return {"description": json.dumps(written(source)), "parts": str(parts), "batch": str(batch)}


class Source(spark.DataSource):  # type: ignore[misc]
    """A source for Spark. Where no schema is given, the first 1,000 items are read for it.

    A part that fails, or is not proved complete, fails the job; a task whose executor is lost is run
    once more. A stream is read by the driver, and its offsets are positions of the source.
    """

    @classmethod
    def name(cls) -> str:
        return "unspool"

    def items(self, position: Any = None) -> Items[Any]:
        return opened(Items, json.loads(self.options["description"]), "dict", position=position)  # type: ignore[no-any-return]

    def schema(self) -> Any:
        return from_arrow_schema(pyarrow.Table.from_pylist(list(islice(self.items(), 1000))).schema)

    def reader(self, schema: Any) -> Any:
        self.arrow = to_arrow_schema(schema)
        return Reader(self)

    def simpleStreamReader(self, schema: Any) -> Any:
        self.arrow = to_arrow_schema(schema)
        return StreamReader(self)

    def batches(self, items: Iterator[Any]) -> Iterator[Any]:
        while some := list(islice(items, 8192)):
            if unknown := {name for item in some for name in item}.difference(self.arrow.names):
                raise ValueError(f"the schema has no column for {sorted(unknown)}")
            yield pyarrow.RecordBatch.from_pylist(some, self.arrow)


class Reader(spark.DataSourceReader):  # type: ignore[misc]
    def __init__(self, source: Source) -> None:
        self.source = source

    def partitions(self) -> Any:
        cut = parts(self.source.items(), int(self.source.options["parts"]))
        return [spark.InputPartition(part) for part in cut]

    def read(self, partition: Any) -> Iterator[Any]:
        return self.source.batches(partition.value.items())


class StreamReader(Reader, spark.SimpleDataSourceStreamReader):  # type: ignore[misc]
    def initialOffset(self) -> dict[str, Any]:
        return {"position": None, "items": 0}

    def read(self, start: Any) -> Any:
        items = self.source.items(start["position"])
        some = list(islice(items, int(self.source.options["batch"])))
        end = {"position": items.position, "items": start["items"] + len(some)}
        return self.source.batches(iter(some)), end if some else start

    def readBetweenOffsets(self, start: Any, end: Any) -> Iterator[Any]:
        items = self.source.items(start["position"])
        return self.source.batches(islice(items, end["items"] - start["items"]))
