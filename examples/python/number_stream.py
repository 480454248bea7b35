"""A generator with a type: Python has it in the language, and unspool adds nothing to it.

What unspool gives is such a generator, too: whatever takes an `AsyncGenerator` takes both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


async def number_stream(n: int) -> AsyncGenerator[int, None]:
    for number in range(n):
        await asyncio.sleep(0.01)
        yield number


async def total(numbers: AsyncGenerator[int, None]) -> int:
    return sum([number async for number in numbers])


if __name__ == "__main__":
    print(asyncio.run(total(number_stream(3))))
