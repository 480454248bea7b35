from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Api:
    """The servers of the tests, and what they have seen."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, path: str) -> str:
        return self.url + path

    def stat(self) -> dict[str, Any]:
        with urllib.request.urlopen(self("/stat")) as answer:
            stat: dict[str, Any] = json.load(answer)
        return stat

    def hits(self, path: str) -> int:
        return int(self.stat()["hits"].get(path, 0))

    def open(self, path: str) -> int:
        """How many connections wait for the rest of an answer."""
        return int(self.stat()["busy"].get(path, 0))

    def wait_until_closed(self, path: str) -> None:
        eventually(lambda: self.open(path) == 0, f"{path} is still open")


def eventually(condition: Callable[[], bool], message: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.02)


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    yield Api(server.stdout.readline().strip())
    server.stdin.close()
    server.wait(10)
