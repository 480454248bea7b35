"""A FastAPI service paginated by fastapi-pagination, without links of any kind.

    python fastapi_server.py [PORT [ROWS]]        port 0, the default, takes a free one

The first line on stdout is `listening on http://127.0.0.1:PORT`; SIGTERM ends the one process.
A correct client counts ROWS (default 1234) items at:

    /page           {items, total, page, size, pages}, ?page=1, ?size=1..100, 50 by default
    /offset         {items, total, limit, offset}, ?offset=0, ?limit=1..100, 50 by default
    /cursor         {items, total, current_page, current_page_backwards, previous_page, next_page}:
                    next_page is a token, into ?cursor=, and null on the last page

A page past the last is an empty one, page=0 is a 422.
"""

import argparse
import socket

import uvicorn
from fastapi import FastAPI, Query
from fastapi_pagination import LimitOffsetPage, Page, add_pagination, paginate
from fastapi_pagination.cursor import CursorPage, CursorParams
from fastapi_pagination.utils import disable_installed_extensions_check
from pydantic import BaseModel

ORDERS = []
app = FastAPI()


class Order(BaseModel):
    id: int
    reference: str
    total: float


@app.get("/page")
async def page() -> Page[Order]:
    return paginate(ORDERS)


@app.get("/offset")
async def offset() -> LimitOffsetPage[Order]:
    return paginate(ORDERS)


@app.get("/cursor")
async def cursor(cursor: str | None = Query(None), size: int = 100) -> CursorPage[Order]:
    params = CursorParams(cursor=cursor, size=size)
    begin = int(params.to_raw_params().cursor or 0)
    end = begin + size
    return CursorPage.create(
        ORDERS[begin:end],
        params,
        total=len(ORDERS),
        current=str(begin),
        next_=str(end) if end < len(ORDERS) else None,
    )


add_pagination(app)
# It would like to know about the Django of another server.
disable_installed_extensions_check()


def serve(port):
    # On a socket whose port is known beforehand.
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("rows", type=int, nargs="?", default=1234)
    arguments = parser.parse_args()
    ORDERS += [
        Order(id=n, reference=f"SO-{n:07}", total=n * 37 % 1000 / 4)
        for n in range(1, arguments.rows + 1)
    ]
    serve(arguments.port)
