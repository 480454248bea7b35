"""The Python package beside what people use today; `python bench/python/run.py [ROUNDS]`.

Each way runs in a process of its own, in turns; the best of the rounds is shown. Needs the package, built
with `--release`, and aiohttp, orjson, httpx and anthropic. A case that is lost stays in the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = {
    "items": ["unspool dict", "unspool bytes", "aiohttp", "httpx"],
    "huge": ["unspool dict", "unspool bytes", "aiohttp", "httpx"],
    "range": ["unspool", "unspool ahead", "aiohttp", "httpx"],
    "text": ["unspool", "anthropic"],
}
EXPECTED = {"items": 100_000, "range": 20_000, "text": 100_000}


def measured(base: str, workload: str, way: str) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "walk.py"), base, workload, way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["items"] == EXPECTED.get(workload, result["items"]), (workload, way, result)
    return result


def main(rounds: int) -> None:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin and server.stdout
    base = server.stdout.readline().strip()
    for workload, ways in CASES.items():
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
                f" {best['rss_mb']:8} {best['delay_ms']:10.1f}"
            )
    server.stdin.close()
    server.wait(10)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
