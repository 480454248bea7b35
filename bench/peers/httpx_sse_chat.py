"""The loop without an SDK: httpx, its decoder of events from httpx-sse, and json.

    python httpx_sse_chat.py BASE_URL text      every delta at once
    python httpx_sse_chat.py BASE_URL slow      20 deltas a second at most

BASE_URL is without `/v1`. Prints the number of bytes of text that came; half a character counts, too.
"""

import asyncio
import json
import sys

import httpx
from httpx_sse import aconnect_sse

QUESTION = {
    "model": "gpt-5.1",
    "messages": [{"role": "user", "content": "A poem about rain, please."}],
    "stream": True,
}


async def main(base_url, mode):
    pause = {"text": 0, "slow": 0.05}[mode]
    received = 0
    url = f"{base_url}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=60) as client:
        async with aconnect_sse(client, "POST", url, json=QUESTION) as source:
            async for event in source.aiter_sse():
                if event.data == "[DONE]":
                    break
                for choice in json.loads(event.data)["choices"]:
                    received += len((choice["delta"].get("content") or "").encode(errors="surrogatepass"))
                    if pause:
                        await asyncio.sleep(pause)
    print(received)


asyncio.run(main(*sys.argv[1:]))
