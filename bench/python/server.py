"""What the measurements read: answers that are made before they are asked for. Prints its address."""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import parse_qsl, urlsplit

PER_PAGE = 100


def item(number: int) -> bytes:
    """An item of about 400 bytes."""
    return json.dumps(
        {
            "id": number,
            "type": "order",
            "customer": {"id": number % 977, "name": f"Customer {number % 977}", "vip": number % 7 == 0},
            "lines": [{"sku": f"SKU-{n}", "count": n + 1, "price": 9.5 + n} for n in range(3)],
            "created": "2026-11-27T08:00:00Z",
            "total": number / 4,
            "note": None,
            "text": "a line of text that is as long as such lines are in practice, or a bit longer",
        }
    ).encode()


#: As many as there are in a walk: a page that comes again is taken for a circle.
ITEMS = [item(number) for number in range(PER_PAGE * 1000)]
#: What the one large page is made of.
BLOCK = ITEMS[:1000]


def page(number: int, last: int, is_linked: bool, path: str) -> bytes:
    first = (number - 1) * PER_PAGE
    body = b'{"items":[' + b",".join(ITEMS[first : first + PER_PAGE]) + b"]"
    if not is_linked:
        return body + b',"total":%d}' % (last * PER_PAGE)
    return body + (b',"next":"%s"}' % path.encode() if path else b',"next":null}')


def delta(text: str) -> bytes:
    data = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return f"event: content_block_delta\ndata: {json.dumps(data)}\n\n".encode()


def event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


START = event({"type": "message_start", "message": {
    "id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1}}}) + event(
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
END = event({"type": "content_block_stop", "index": 0}) + event(
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 9}}) + event({"type": "message_stop"})


async def answer(writer: asyncio.StreamWriter, target: str) -> None:
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    last, delay = int(query.get("last", "1000")), query.get("delay", "0")
    if delay != "0":
        await asyncio.sleep(int(delay) / 1000)
    if url.path.endswith("/v1/messages"):
        count = int(url.path.split("/")[2])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(START))
        one = chunk(delta("word "))
        for first in range(0, count, 100):
            writer.write(one * min(100, count - first))
            await writer.drain()
        writer.write(chunk(END) + b"0\r\n\r\n")
    elif url.path == "/huge":
        count = int(query["mb"]) * 1_000_000 // (len(b",".join(BLOCK)) // len(BLOCK))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"items\":[")
        block = b",".join(BLOCK)
        for first in range(0, count, len(BLOCK)):
            writer.write(block if first == 0 else b"," + block)
            await writer.drain()
        writer.write(b"]}")
        await writer.drain()
        writer.close()
    else:
        number = int(query.get("page", "1"))
        is_linked = url.path == "/items"
        path = f"/items?last={last}&delay={delay}&page={number + 1}" if number < last else ""
        body = page(number, last, is_linked, path)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    if not writer.is_closing():
        await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            for line in head.lower().split("\r\n"):
                if line.startswith("content-length: "):
                    await reader.readexactly(int(line.split(": ")[1]))
            await answer(writer, head.split()[1])
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
