"""Sources as data frames and streams of PySpark.

>>> spark.dataSource.register(unspool.spark.Source)
>>> spark.read.format("unspool").options(**unspool.spark.options(unspool.pages(url), parts=8)).load()
"""

import json
from typing import Any

import pyarrow
from pyspark.sql import datasource as spark
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from ._items import Items, opened
from ._parts import parts, written
from ._schema import laid_out, lines


def options(source: Items[Any], parts: int = 8, batch: int = 10_000) -> dict[str, str]:
    """What stands for a source, read in so many parts, or in micro-batches of so many items."""
    return {"description": json.dumps(written(source)), "parts": str(parts), "batch": str(batch)}


class Source(spark.DataSource):  # type: ignore[misc]
    """A source for Spark; without a schema, the first 1,000 items are read for one. A part that is not
    proved complete fails the job. A stream is read by the driver; its offsets are positions."""

    @classmethod
    def name(cls) -> str:
        return "unspool"

    def items(self, position: Any = None) -> Any:
        return opened(Items, json.loads(self.options["description"]), "dict", position=position)

    def schema(self) -> Any:
        return from_arrow_schema(pyarrow.table(self.items().arrow_table(None, 1000)).schema)

    def reader(self, schema: Any) -> Any:
        return Parts(self, schema)

    def simpleStreamReader(self, schema: Any) -> Any:
        return MicroBatches(self, schema)


class Parts(spark.DataSourceReader):  # type: ignore[misc]
    def __init__(self, source: Source, schema: Any) -> None:
        self.source, self.arrow = source, to_arrow_schema(schema)

    def partitions(self) -> Any:
        return [*map(spark.InputPartition, parts(self.source.items(), int(self.source.options["parts"])))]

    def read(self, partition: Any) -> Any:
        return laid_out(partition.value.table(lines(self.arrow)), self.arrow)


class MicroBatches(Parts, spark.SimpleDataSourceStreamReader):  # type: ignore[misc]
    def initialOffset(self) -> dict[str, Any]:
        return {"position": None, "items": 0}

    def read(self, start: Any) -> Any:
        return self.taken(start, int(self.source.options["batch"]))

    def readBetweenOffsets(self, start: Any, end: Any) -> Any:
        return self.taken(start, end["items"] - start["items"])[0]

    def taken(self, start: Any, count: int) -> Any:
        items = self.source.items(start["position"])
        table = pyarrow.table(items.arrow_table(lines(self.arrow), count))
        end = {"position": items.position, "items": start["items"] + table.num_rows}
        return laid_out(table, self.arrow), end if table.num_rows else start
