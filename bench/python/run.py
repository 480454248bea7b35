"""The Python package beside what people use today; `python bench/python/run.py [ROUNDS [WORKLOAD …]]`.

Each way runs in a process of its own, in turns; the best of the rounds is shown. Needs the package, built
with `--release`, what is in requirements.txt, and PostgreSQL for the rows. A case that is lost stays in the
table.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = {
    "items": ["unspool dict", "unspool bytes", "aiohttp", "httpx"],
    "huge": ["unspool dict", "unspool bytes", "aiohttp", "httpx"],
    "range": ["unspool", "unspool ahead", "aiohttp", "httpx"],
    "text": ["unspool", "anthropic"],
    "rows": ["unspool", "adbc", "connectorx", "asyncpg"],
}
EXPECTED = {"items": 100_000, "range": 20_000, "text": 100_000, "rows": 1_000_000}


def measured(base: str, workload: str, way: str) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "walk.py"), base, workload, way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["items"] == EXPECTED.get(workload, result["items"]), (workload, way, result)
    return result


@contextmanager
def http() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin and server.stdout
    yield server.stdout.readline().strip()
    server.stdin.close()
    server.wait(10)


@contextmanager
def postgres() -> Iterator[str]:
    """A server with a million orders."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    folder = Path(tempfile.mkdtemp())
    owner: dict[str, Any] = {"cwd": folder}
    if os.getuid() == 0:
        # It refuses to run as root.
        owner |= {"user": "postgres", "group": "postgres"}
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    initdb = [binaries / "initdb", "--no-sync", "--auth=trust", "--username=test", "-D", data]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **owner)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1", f"port={port}", "fsync=off"]
    arguments = [word for setting in settings for word in ("-c", setting)]
    server = subprocess.Popen([binaries / "postgres", "-D", data, *arguments], stderr=subprocess.DEVNULL, **owner)
    psql = [binaries / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "test", "postgres", "-c"]
    while subprocess.run([*psql, "select 1"], capture_output=True).returncode != 0:
        time.sleep(0.1)
    sql = """create table orders as select n::bigint as id, 'customer ' || n % 977 as customer, n / 4.0::float8
        as total, n % 7 = 0 as vip, timestamptz '2026-01-01' + n * interval '1 second' as created, case when
        n % 3 > 0 then 'a line of text that is as long as such lines are' end as note from
        generate_series(0, 999999) n"""
    subprocess.run([*psql, sql], check=True)
    subprocess.run([*psql, "vacuum analyze orders"], check=True)
    try:
        yield f"postgresql://test@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


def main(rounds: int, only: list[str]) -> None:
    for workload, ways in CASES.items():
        if only and workload not in only:
            continue
        with postgres() if workload == "rows" else http() as base:
            measure(base, workload, ways, rounds)


def measure(base: str, workload: str, ways: list[str], rounds: int) -> None:
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            runs[way].append(measured(base, workload, way))
    print(f"\n{workload:16} CPU us an item   CPU s   wall s   first ms   RSS MB   delay ms")
    for way, results in runs.items():
        best = {name: min(result[name] for result in results) for name in results[0]}
        each = best["cpu"] / best["items"] * 1e6
        print(
            f"{way:16} {each:14.2f} {best['cpu']:7.2f} {best['wall']:8.2f} {best['first_ms']:10.1f}"
            f" {best['rss_mb']:8} {best['delay_ms']:10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, sys.argv[2:])
