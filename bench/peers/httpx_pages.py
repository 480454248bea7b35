"""The loop that a Python user writes over httpx: an async generator that follows the Link header."""

import asyncio
import json
import sys

import httpx


async def paginate(client, url):
    while url:
        response = await client.get(url)
        response.raise_for_status()
        for item in response.json():
            yield item
        url = response.links.get("next", {}).get("url")


async def main(url):
    async with httpx.AsyncClient(timeout=60) as client:
        async for item in paginate(client, url):
            sys.stdout.write(json.dumps(item) + "\n")


asyncio.run(main(sys.argv[1]))
