"""The loop of httpx_pages.py over aiohttp, whose HTTP parser is written in C."""

import asyncio
import json
import sys

import aiohttp


async def paginate(session, url):
    while url:
        async with session.get(url, raise_for_status=True) as response:
            for item in await response.json():
                yield item
            url = response.links.get("next", {}).get("url")


async def main(url):
    async with aiohttp.ClientSession() as session:
        async for item in paginate(session, url):
            sys.stdout.write(json.dumps(item) + "\n")


asyncio.run(main(sys.argv[1]))
