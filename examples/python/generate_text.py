"""The text of a model's answer, as it arrives: as it is read today, and with unspool.

    python examples/python/generate_text.py PROMPT
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator

import unspool


async def today(prompt: str, base_url: str | None = None) -> AsyncGenerator[str, None]:
    """An answer that came to the token limit ends like a whole one."""
    import anthropic

    client = anthropic.AsyncAnthropic(base_url=base_url)
    async with client.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=1024,
        messages=[{"role": "user", "content": prompt}],
    ) as stream:
        async for text in stream.text_stream:
            yield text


async def with_unspool(prompt: str, base_url: str | None = None) -> AsyncGenerator[str, None]:
    """An answer that is cut is an error; one that came to a limit says so."""
    answer = unspool.ask(prompt, base_url=base_url, provider="anthropic")
    async for text in answer:
        yield text
    if not answer.outcome["complete"]:
        raise RuntimeError(f"the answer stopped early: {answer.outcome['ended']}")


async def main(prompt: str) -> None:
    async for text in unspool.ask(prompt):
        print(text, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
