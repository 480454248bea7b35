"""Sources as datasets of Ray Data.

>>> posts = ray.data.read_datasource(unspool.ray.Source(unspool.pages(url, paginate="page")))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from ._items import Items
from ._parts import Part, parts


def _read(part: Part) -> Iterable[Any]:
    return [part.table()]


class Source(Datasource):  # type: ignore[misc]
    """A source for `ray.data.read_datasource`, with a read task for each of its parts.

    A part that fails, or is not proved complete, fails the dataset; a task whose worker is lost is run
    once more. Its rate is divided among the parts.
    """

    def __init__(self, source: Items[Any]) -> None:
        super().__init__()
        self._source = source

    def get_name(self) -> str:
        return "unspool"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)

        def task(read: Callable[[], Iterable[Any]]) -> ReadTask:
            return ReadTask(read, unknown, per_task_row_limit=per_task_row_limit)

        return [task(partial(_read, part)) for part in parts(self._source, parallelism)]
