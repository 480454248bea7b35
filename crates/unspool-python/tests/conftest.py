from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import unspool


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


class Demo:
    """Where the servers of `unspool demo --serve` are."""

    def __init__(self, lines: list[dict[str, str]]) -> None:
        pages, ask, events, rows = lines
        self.posts, self.model, self.ticks = pages["url"], ask["base_url"], events["url"]
        self.database = rows["dsn"].removeprefix("sqlite:")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    yield from serving()


@pytest.fixture
def fresh_demo() -> Iterator[Demo]:
    """One whose servers have not misbehaved yet, as they do once."""
    yield from serving()


def serving() -> Iterator[Demo]:
    child = subprocess.Popen(
        [sys.executable, "-m", "unspool", "demo", "--serve"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    yield Demo([json.loads(child.stdout.readline()) for _ in range(4)])
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130


class Postgres:
    """A server that was started for the tests."""

    def __init__(self, folder: Path, psql: Path) -> None:
        self.dsn = f"postgres://test@/postgres?host={folder}"
        self.psql = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(folder), "-U", "test", "postgres"]

    def execute(self, sql: str) -> None:
        subprocess.run([*self.psql, "-c", sql], check=True)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("there is no PostgreSQL")
    folder = tmp_path_factory.mktemp("postgres")
    owner: dict[str, Any] = {}
    if os.getuid() == 0:
        # It refuses to run as root.
        owner = {"user": "postgres", "group": "postgres"}
        for path in [folder, *folder.parents[:2]]:
            path.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    data, binaries = folder / "data", found[-1]
    initdb = [binaries / "initdb", "--no-sync", "--auth=trust", "--username=test", "-D", data]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)
    # Only through a socket in the folder, whose name is short enough for one.
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [binaries / "postgres", "-D", data, *arguments]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stderr=log, cwd=folder, **owner)
    postgres = Postgres(folder, binaries / "psql")

    def is_up() -> bool:
        try:
            return list(unspool.rows(postgres.dsn, "select 1 as one", retries=0)) == [{"one": 1}]
        except unspool.UnspoolError:
            return False

    eventually(is_up, (folder / "log").read_text(), 60)
    yield postgres
    server.send_signal(signal.SIGINT)
    server.wait(60)
