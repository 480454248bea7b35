"""Rows of a query, a batch at a time: the class that is written today, and unspool.

    python examples/python/database_cursor.py FILE SQL
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncGenerator
from typing import Any

import unspool


class DatabaseCursor:
    """Fetches a batch, hands out its rows, fetches the next."""

    def __init__(self, file: str, sql: str, batch_size: int = 100) -> None:
        self.database = sqlite3.connect(file)
        self.database.row_factory = sqlite3.Row
        self.cursor = self.database.execute(sql)
        self.batch_size = batch_size
        self.batch: list[Any] = []

    def __aiter__(self) -> DatabaseCursor:
        return self

    async def __anext__(self) -> dict[str, Any]:
        if not self.batch:
            # The loop stands still meanwhile, unless a thread does this.
            self.batch = self.cursor.fetchmany(self.batch_size)[::-1]
            if not self.batch:
                self.database.close()
                raise StopAsyncIteration
        return dict(self.batch.pop())


async def today(file: str, sql: str) -> AsyncGenerator[dict[str, Any], None]:
    async for row in DatabaseCursor(file, sql):
        yield row


async def with_unspool(file: str, sql: str) -> AsyncGenerator[dict[str, Any], None]:
    async for row in unspool.rows(f"sqlite:{file}", sql):
        yield row


async def main(file: str, sql: str) -> None:
    async for row in unspool.rows(f"sqlite:{file}", sql):
        print(row)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
