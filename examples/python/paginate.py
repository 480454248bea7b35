"""Items of a paginated API: as they are fetched today, and with unspool.

    python examples/python/paginate.py URL
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import unspool


async def today(url: str) -> AsyncGenerator[Any, None]:
    """Stops at the first page without items, whatever that means; a page that fails ends it."""
    import httpx

    async with httpx.AsyncClient() as client:
        page = 1
        while True:
            response = await client.get(url, params={"page": page})
            response.raise_for_status()
            items = response.json()
            if not items:
                return
            for item in items:
                yield item
            page += 1


async def with_unspool(url: str) -> AsyncGenerator[Any, None]:
    """Finds out how to get from page to page, retries, and fails if not all has come."""
    async for item in unspool.pages(url):
        yield item


async def main(url: str) -> None:
    async for item in unspool.pages(url):
        print(item)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
