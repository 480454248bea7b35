"""The loop of the OpenAI SDK's own documentation, over its asynchronous client.

    python openai_chat.py BASE_URL text     every delta at once
    python openai_chat.py BASE_URL slow     20 deltas a second at most

BASE_URL is without `/v1`. Prints the number of bytes of text that came; half a character counts, too.
"""

import asyncio
import sys

from openai import AsyncOpenAI

QUESTION = {
    "model": "gpt-5.1",
    "messages": [{"role": "user", "content": "A poem about rain, please."}],
}


async def main(base_url, mode):
    pause = {"text": 0, "slow": 0.05}[mode]
    received = 0
    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none") as client:
        async for chunk in await client.chat.completions.create(**QUESTION, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                received += len(chunk.choices[0].delta.content.encode(errors="surrogatepass"))
                if pause:
                    await asyncio.sleep(pause)
    print(received)


asyncio.run(main(*sys.argv[1:]))
