"""The loop of the Anthropic SDK's own documentation, over its asynchronous client.

    python anthropic_text_stream.py BASE_URL text       messages.stream(…).text_stream
    python anthropic_text_stream.py BASE_URL events     the raw events of create(stream=True)
    python anthropic_text_stream.py BASE_URL slow       as text, 20 deltas a second at most

    --concurrency N     so many answers at a time
    --repeat K          so many by each of them, one after the other

Prints the number of bytes of text that came, of all answers together; half a character counts, too.
"""

import argparse
import asyncio

from anthropic import AsyncAnthropic

QUESTION = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "A poem about rain, please."}],
}


async def text(client):
    async with client.messages.stream(**QUESTION) as stream:
        async for delta in stream.text_stream:
            yield delta


async def events(client):
    async for event in await client.messages.create(**QUESTION, stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            yield event.delta.text


async def slow(client):
    async for delta in text(client):
        yield delta
        await asyncio.sleep(0.05)


async def answers(client, source, repeat):
    received = 0
    for _ in range(repeat):
        async for delta in source(client):
            received += len(delta.encode(errors="surrogatepass"))
    return received


async def main(arguments):
    source = {"text": text, "events": events, "slow": slow}[arguments.mode]
    async with AsyncAnthropic(base_url=arguments.base_url, api_key="none") as client:
        tasks = (answers(client, source, arguments.repeat) for _ in range(arguments.concurrency))
        print(sum(await asyncio.gather(*tasks)))


parser = argparse.ArgumentParser()
parser.add_argument("base_url")
parser.add_argument("mode", choices=["text", "events", "slow"])
parser.add_argument("--concurrency", type=int, default=1)
parser.add_argument("--repeat", type=int, default=1)
asyncio.run(main(parser.parse_args()))
