"""Messages of a live feed: as it is followed today, and with unspool.

    python examples/python/events.py URL
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator

import unspool


async def today(url: str) -> AsyncGenerator[str, None]:
    """Ends when the connection does; what was sent before the next one is lost."""
    import httpx

    async with httpx.AsyncClient(timeout=None) as client, client.stream("GET", url) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


async def with_unspool(url: str) -> AsyncGenerator[str, None]:
    """Connects again after the last event, and says what may be missing."""
    async for event in unspool.events(url):
        yield event["data"]


async def main(url: str) -> None:
    async for event in unspool.events(url):
        print(event["data"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
