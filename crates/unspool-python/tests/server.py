"""Servers on loopback, in a process of their own: an API, a feed and a model.

It prints its address, and ends when its standard input does. `/stat` counts what was asked and
which connections are open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from server_data import MIXED

PER_PAGE = 100
hits: Counter[str] = Counter()
#: Connections on which an answer is on its way, by its path.
busy: Counter[str] = Counter()
#: What a model was asked last.
asked: dict[str, Any] = {}


class Answer:
    """What goes back to one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def whole(self, body: Any, status: str = "200 OK", headers: str = "") -> None:
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}"
        self.writer.write(f"{head}content-length: {len(text)}\r\n\r\n".encode() + text)
        await self.writer.drain()

    def begin(self, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        self.writer.write(head.encode())

    async def chunk(self, text: str) -> None:
        data = text.encode()
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")


Query = dict[str, str]
Handler = Callable[[Answer, Query, bytes], Coroutine[Any, Any, None]]


def item(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"item {number}", "tags": ["a", "b"], "price": number / 4}


async def items(answer: Answer, query: Query, _body: bytes) -> None:
    """Pages with a link to the next one."""
    page, last = int(query.get("page", "1")), int(query.get("last", "3"))
    await asyncio.sleep(float(query.get("delay", "0")) / 1000)
    first = (page - 1) * PER_PAGE
    rows = [item(number) for number in range(first, first + PER_PAGE)] if page <= last else []
    body: dict[str, Any] = {"items": rows}
    if page < last:
        rest = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
        body["next"] = f"/items?{rest}&page={page + 1}"
    await answer.whole(body)


async def counted(answer: Answer, query: Query, _body: bytes) -> None:
    """Pages by number, with their total."""
    page, last = int(query.get("page", "1")), int(query.get("last", "3"))
    await asyncio.sleep(float(query.get("delay", "0")) / 1000)
    first = (page - 1) * PER_PAGE
    rows = [item(number) for number in range(first, first + PER_PAGE)] if page <= last else []
    await answer.whole({"items": rows, "total": last * PER_PAGE})


async def offsets(answer: Answer, query: Query, _body: bytes) -> None:
    """Pages by offset, with their total."""
    first, count = int(query.get("offset", "0")), int(query.get("count", "300"))
    rows = [item(number) for number in range(first, min(first + PER_PAGE, count))]
    await answer.whole({"items": rows, "total": count})


async def slow(answer: Answer, query: Query, _body: bytes) -> None:
    """A page whose items come one after the other."""
    answer.begin("application/json")
    await answer.chunk('{"items": [')
    for number in range(int(query.get("count", "100000"))):
        comma = "," if number else ""
        await answer.chunk(comma + json.dumps(item(number)))
        await asyncio.sleep(float(query.get("delay", "10")) / 1000)
    await answer.chunk("]}")
    answer.end()


async def cut(answer: Answer, _query: Query, _body: bytes) -> None:
    """A page that stops before its end."""
    answer.begin("application/json")
    await answer.chunk('{"items": [{"id": 1}, {"id": 2}, {"id"')
    answer.writer.close()


async def short(answer: Answer, query: Query, _body: bytes) -> None:
    """Fewer items than the total says."""
    rows = [{"id": 1}, {"id": 2}] if query.get("page", "1") == "1" else []
    await answer.whole({"items": rows, "total": 3})


async def silent(_answer: Answer, _query: Query, _body: bytes) -> None:
    await asyncio.sleep(3600)


async def private(answer: Answer, _query: Query, _body: bytes) -> None:
    await answer.whole({"error": "who are you?"}, "401 Unauthorized")


async def big(answer: Answer, query: Query, _body: bytes) -> None:
    """One page of many items, sent as fast as they are read."""
    answer.begin("application/json")
    await answer.chunk('{"items": [')
    count, text = int(query.get("count", "100000")), json.dumps(item(1))
    for first in range(0, count, 1000):
        some = ",".join([text] * min(1000, count - first))
        await answer.chunk(some if first == 0 else "," + some)
    await answer.chunk("]}")
    answer.end()


async def widening(answer: Answer, _query: Query, _body: bytes) -> None:
    """Items that need wider columns after the first ten thousand."""
    rows: list[Any] = [{"id": 1, "price": 1, "mixed": [1]}] * 10_001
    rows += [{"id": 2, "price": 0.5, "mixed": "x", "late": "y"}, {"id": 3, "mixed": [2]}]
    await answer.whole({"items": rows})


async def mixed(answer: Answer, _query: Query, _body: bytes) -> None:
    """All that JSON has."""
    text = f'{{"items": {MIXED}}}'.encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(text)}\r\n\r\n"
    answer.writer.write(head.encode() + text)



async def echo(answer: Answer, query: Query, body: bytes) -> None:
    """What was asked, as an item."""
    del query["after"]
    await answer.whole({"items": [{"query": query, "json": json.loads(body or b"null")}]})


async def feed(answer: Answer, query: Query, _body: bytes) -> None:
    """Server-sent events."""
    answer.begin("text/event-stream")
    for number in range(int(query["after"]) + 1, int(query.get("count", "1000000"))):
        await answer.chunk(f"id: {number}\ndata: tick {number}\n\n")
        await asyncio.sleep(float(query.get("delay", "1")) / 1000)
    answer.end()


async def feed_cut(answer: Answer, _query: Query, _body: bytes) -> None:
    """Server-sent events, and a body that stops before its end."""
    answer.begin("text/event-stream")
    await answer.chunk("id: 1\ndata: tick 1\n\nid: 2\nda")
    answer.writer.close()


async def model(answer: Answer, _query: Query, body: bytes) -> None:
    """The Messages API of Anthropic; the prompt says how many pieces there are, or `cut`,
    or what to say."""
    asked.clear()
    asked.update(json.loads(body))
    prompt = asked["messages"][-1]["content"]
    prompt = prompt if isinstance(prompt, str) else prompt[-1]["text"]
    words = prompt.split()
    says = prompt.removeprefix("say ") if words[0] == "say" else None
    count = int(words[0]) if says is None else 1
    answer.begin("text/event-stream")
    start = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
             "model": "claude", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}
    await answer.chunk(event(start))
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    await answer.chunk(event(block))
    for number in range(count):
        delta = {"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": says or f"{number} "}}
        await answer.chunk(event(delta))
        if "slowly" in words:
            await asyncio.sleep(0.01)
    if "cut" in words:
        answer.writer.close()
        return
    await answer.chunk(event({"type": "content_block_stop", "index": 0}))
    reason = "max_tokens" if "limit" in words else "end_turn"
    await answer.chunk(event({"type": "message_delta", "delta": {"stop_reason": reason},
                              "usage": {"output_tokens": count}}))
    await answer.chunk(event({"type": "message_stop"}))
    answer.end()


def event(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


async def stat(answer: Answer, _query: Query, _body: bytes) -> None:
    await answer.whole({"asked": asked, "hits": dict(hits), "busy": {path: n for path, n in busy.items() if n}})


ROUTES: dict[str, Handler] = {
    "/items": items, "/counted": counted, "/offsets": offsets, "/slow": slow, "/cut": cut, "/short": short,
    "/silent": silent, "/private": private, "/big": big, "/widening": widening, "/mixed": mixed, "/echo": echo,
    "/feed": feed, "/feedcut": feed_cut, "/private/v1/messages": private, "/v1/messages": model, "/stat": stat,
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answer = Answer(reader, writer)
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().split("\r\n")
            target = urlsplit(lines[0].split()[1])
            names = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            body = await reader.readexactly(int(names.get("content-length", "0")))
            query = dict(parse_qsl(target.query)) | {"after": names.get("last-event-id", "-1")}
            await handled(answer, target.path, query, body)
            if writer.is_closing():
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def handled(answer: Answer, path: str, query: Query, body: bytes) -> None:
    """Answers, unless the client goes away first."""
    hits[path] += 1
    busy[path] += 1
    work = asyncio.ensure_future(ROUTES[path](answer, query, body))
    gone = asyncio.ensure_future(closed(answer))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        busy[path] -= 1
        for task in (work, gone):
            task.cancel()
    if gone.done() and not work.done():
        raise ConnectionError("the client has gone")
    await asyncio.wait([work])
    if not work.cancelled() and (error := work.exception()):
        raise error


async def closed(answer: Answer) -> None:
    """Waits until the client has closed its side."""
    while not answer.reader.at_eof() and answer.reader.exception() is None:
        await asyncio.sleep(0.005)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
