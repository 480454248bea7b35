"""The Python of the README, as it is shown."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import Demo

ROOT = Path(__file__).parents[3]
FILES = ["README.md", "crates/unspool-python/README.md"]
BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name in FILES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.S))
]


def test_there_is_one_for_each_source() -> None:
    text = "".join(str(block.values[0]) for block in BLOCKS)
    assert set(re.findall(r"unspool\.(\w+)\(", text)) >= {"pages", "ask", "events", "rows"}


@pytest.mark.parametrize("block", BLOCKS)
def test_it_runs(demo: Demo, tmp_path: Path, block: str) -> None:
    is_async = "async for" in block
    block = block.removeprefix("import unspool\n\n")
    program = f"import asyncio, unspool\n{'async ' * is_async}def main():\n{textwrap.indent(block, '    ')}"
    compile(program, "README.md", "exec")
    if "unspool" not in block:
        # What people write today; it needs their names.
        return
    with sqlite3.connect(tmp_path / "users.db") as database:
        database.execute("create table users (id integer primary key, name text)")
        database.execute("insert into users values (1, 'Ada'), (2, 'Grace')")
    database.close()
    for shown, here in [
        ("https://api.example.com/posts", demo.posts),
        ("https://stream.example.com/changes", demo.ticks),
        ("loops\")", f"loops\", base_url='{demo.model}')"),
    ]:
        program = program.replace(shown, here)
    program += "\nasyncio.run(main())" if is_async else "\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"ANTHROPIC_API_KEY": "k"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
