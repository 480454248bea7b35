"""The command `unspool`, as the wheel installs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Api

#: The program beside the interpreter, and the module.
COMMANDS = [[str(Path(sys.executable).with_name("unspool"))], [sys.executable, "-m", "unspool"]]

each_command = pytest.mark.parametrize("command", COMMANDS, ids=["program", "module"])


def run(command: list[str], *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = [*command, *args]
    return subprocess.run(done, capture_output=True, text=True, timeout=120, **options)


@each_command
def test_it_prints_items_and_says_how_they_ended(api: Api, command: list[str]) -> None:
    done = run(command, "pages", api("/items?last=3"))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(300))
    assert "complete: 300 items from 3 pages" in done.stderr


@each_command
def test_its_exit_codes_are_those_of_the_binary(api: Api, command: list[str]) -> None:
    done = run(command, "pages", api("/cut"), "--retries", "0")
    assert done.returncode == 3, done.stderr
    assert "truncated" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    done = run(command, "pages", "--no-such-flag")
    assert done.returncode == 2, done.stderr
    assert "Usage: unspool pages" in done.stderr
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: unspool <COMMAND>" in done.stdout
    script = run(command, "completions", "bash")
    assert script.returncode == 0 and "_unspool" in script.stdout, script.stderr


@each_command
def test_arguments_are_bytes_as_the_system_has_them(tmp_path: Path, command: list[str]) -> None:
    file = os.fsencode(tmp_path) + b"/n\xff.ndjson"
    asked = ["pages", "http://127.0.0.1:1/", "--retries", "0", "--account"]
    done = subprocess.run([*command, *asked, file], capture_output=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert os.path.exists(file)


@each_command
def test_ctrl_c_writes_what_came_and_ends_with_130(
    api: Api, tmp_path: Path, command: list[str]
) -> None:
    lines = tmp_path / "lines"
    with lines.open("w") as stdout:
        child = subprocess.Popen(
            [*command, "pages", api("/slow?delay=20")], stdout=stdout, stderr=subprocess.PIPE, text=True
        )
    before = time.monotonic()
    while api.open("/slow") == 0:
        assert time.monotonic() < before + 60
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, words = child.communicate(timeout=60)
    assert child.returncode == 130, words
    assert "interrupted" in words and "Traceback" not in words, words
    came = [json.loads(line)["id"] for line in lines.read_text().splitlines()]
    assert came == list(range(len(came)))
    assert f"{len(came)} items" in words.replace(",", ""), words
    api.wait_until_closed("/slow")


@each_command
def test_a_closed_pipe_is_a_normal_end(api: Api, command: list[str]) -> None:
    walk = subprocess.Popen(
        [*command, "pages", api("/items?last=100000")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    head = subprocess.run(["head", "-n", "2"], stdin=walk.stdout, capture_output=True, timeout=60)
    assert walk.stdout and walk.stderr
    walk.stdout.close()
    words = walk.stderr.read()
    assert walk.wait(60) == 0, words
    assert len(head.stdout.splitlines()) == 2, words
    assert "Traceback" not in words and "Exception" not in words


@each_command
def test_a_closed_standard_output_is_said(api: Api, command: list[str]) -> None:
    line = ["sh", "-c", '"$@" >&-', "sh", *command, "pages", api("/items")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "standard output is closed" in done.stderr
