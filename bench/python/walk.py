"""One way through one workload, in a process of its own, with a ticker beside it: a line of JSON.

    walk.py URL WORKLOAD WAY
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import threading
import time
from typing import Any

base, workload, way = sys.argv[1:4]
if workload == "rows":
    import pyarrow

    if way == "unspool":
        import unspool
    elif way == "adbc":
        from adbc_driver_postgresql import dbapi
    elif way == "connectorx":
        import connectorx
    else:
        import asyncpg
URLS = {
    "items": f"{base}/items?page=1&last=1000",
    "huge": f"{base}/huge?mb=200",
    "range": f"{base}/range?page=1&last=200&delay=50",
    "text": f"{base}/n/100000",
    "rows": base,
}
url = URLS[workload]
count = 0
first = 0.0
begin = 0.0
lags: list[float] = []


def see(_item: Any) -> None:
    global count, first
    if not count:
        first = time.perf_counter() - begin
    count += 1


async def tick(stop: asyncio.Event) -> None:
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        lags.append(time.perf_counter() - before - 0.001)


async def with_unspool(unspool: Any, items: str, **options: Any) -> None:
    if workload == "text":
        source = unspool.ask("hi", provider="anthropic", base_url=url, api_key="k", model="claude")
    else:
        paginate = {"items": None, "huge": "single", "range": "page"}[workload]
        source = unspool.pages(url, items=items, paginate=paginate, **options)
    async for item in source:
        see(item)
    assert source.account["complete"], source.account


async def with_aiohttp(aiohttp: Any, orjson: Any) -> None:
    async with aiohttp.ClientSession() as client:
        async for page in numbered_or_linked(lambda url: aiohttp_page(client, orjson, url)):
            for item in page["items"]:
                see(item)


async def aiohttp_page(client: Any, orjson: Any, url: str) -> Any:
    async with client.get(url) as response:
        return orjson.loads(await response.read())


async def with_httpx(httpx: Any) -> None:
    async with httpx.AsyncClient(timeout=300) as client:

        async def get(url: str) -> Any:
            return (await client.get(url)).json()

        async for page in numbered_or_linked(get):
            for item in page["items"]:
                see(item)


async def numbered_or_linked(get: Any) -> Any:
    if workload == "range":
        for number in range(1, 201):
            yield await get(url.replace("page=1", f"page={number}"))
        return
    following: str | None = url
    while following:
        page = await get(following)
        yield page
        following = base + page["next"] if page.get("next") else None


async def with_anthropic(anthropic: Any) -> None:
    client = anthropic.AsyncAnthropic(api_key="k", base_url=url)
    messages = [{"role": "user", "content": "hi"}]
    async with client.messages.stream(model="claude", max_tokens=1024, messages=messages) as stream:
        async for text in stream.text_stream:
            see(text)


SQL = "select * from orders"


async def with_rows() -> None:
    """A million rows to a table of pyarrow. The loop is not of interest here."""
    global count
    rows = ROWS[way]()
    count = rows.num_rows
    assert rows.num_columns == 6


def rows_of_unspool() -> Any:
    return unspool.rows(base, table="orders").table()


def rows_of_adbc() -> Any:
    with dbapi.connect(base) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        return cursor.fetch_arrow_table()


def rows_of_connectorx() -> Any:
    return connectorx.read_sql(base, SQL, return_type="arrow")


def rows_of_asyncpg() -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(base)
        return await connection.fetch(SQL)

    rows = []
    thread = threading.Thread(target=lambda: rows.extend(asyncio.run(fetch())))
    thread.start()
    thread.join()
    columns = zip(*(row.values() for row in rows))
    return pyarrow.table(dict(zip(rows[0].keys(), map(pyarrow.array, columns))))


ROWS = {
    "unspool": rows_of_unspool, "adbc": rows_of_adbc, "connectorx": rows_of_connectorx,
    "asyncpg": rows_of_asyncpg,
}  # fmt: skip


async def main() -> None:
    global begin
    # Imports are not measured.
    if workload == "rows":
        work = with_rows()
    elif way.startswith("unspool"):
        import unspool

        form = "bytes" if "bytes" in way else "dict"
        options = {"in_flight": 8} if "ahead" in way else {}
        work = with_unspool(unspool, form, **options)
    elif way == "aiohttp":
        import aiohttp
        import orjson

        work = with_aiohttp(aiohttp, orjson)
    elif way == "httpx":
        import httpx

        work = with_httpx(httpx)
    else:
        import anthropic

        work = with_anthropic(anthropic)
    stop = asyncio.Event()
    beside = asyncio.create_task(tick(stop))
    # Neither is this collection, which the ticker would see as a delay.
    gc.collect()
    await asyncio.sleep(0.05)
    lags.clear()
    cpu, begin = time.process_time(), time.perf_counter()
    await work
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    stop.set()
    await beside
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({
        "items": count, "cpu": cpu, "wall": wall, "first_ms": first * 1e3, "rss_mb": memory,
        "delay_ms": max(lags) * 1e3,
    }))


asyncio.run(main())
