"""Questions: what goes with them, and one for each record of a file."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
import unspool

from conftest import Api

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def options(api: Api) -> dict[str, Any]:
    return {"base_url": api(""), "api_key": "k", "provider": "anthropic", "model": "claude"}


def test_a_schema_is_asked_for_and_checked(api: Api) -> None:
    class Count:
        @staticmethod
        def model_json_schema() -> dict[str, Any]:
            return {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    for schema in (Count, Count.model_json_schema()):
        answer = unspool.ask('say {"n": 3}', schema=schema, **options(api))
        assert json.loads(answer.text()) == {"n": 3}
        assert answer.outcome["complete"]
        asked = api.stat()["asked"]
        assert Count.model_json_schema()["properties"] == find(asked, "properties")
        with pytest.raises(unspool.DoubtError):
            unspool.ask('say {"m": 3}', schema=schema, **options(api)).text()
    with pytest.raises(unspool.RequestError, match="schema"):
        unspool.ask("say 1", schema={"type": "no such type"}, **options(api)).text()


def find(value: Any, name: str) -> Any:
    """The first member of this name, at any depth."""
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            if (found := find(inner, name)) is not None:
                return found
    return None


def test_files_are_attached(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "dot.png"
    file.write_bytes(PNG)
    answer = unspool.ask("1", attachments=[file, ("b.png", PNG)], **options(api))
    assert answer.text() == "0 "
    content = api.stat()["asked"]["messages"][0]["content"]
    images = [part["source"] for part in content if part["type"] == "image"]
    assert [image["media_type"] for image in images] == ["image/png"] * 2
    assert [base64.b64decode(image["data"]) for image in images] == [PNG] * 2
    with pytest.raises(unspool.RequestError, match="`notes.txt`, which is text"):
        unspool.ask("1", attachments=[("notes.txt", b"text")], **options(api))


def records(folder: Path, count: int) -> Path:
    file = folder / "records.ndjson"
    file.write_text("".join(json.dumps({"id": n, "words": n % 3 + 1}) + "\n" for n in range(count)))
    return file


def test_each_record_has_its_answer(api: Api, tmp_path: Path) -> None:
    file = records(tmp_path, 10)
    rows = unspool.ask_each(file, "{words} words", in_flight=4, **options(api))

    async def collect() -> list[Any]:
        return [row async for row in rows]

    answers = asyncio.run(collect())
    assert [row["record"]["id"] for row in answers] == list(range(10))
    assert [row["answer"] for row in answers[:3]] == ["0 ", "0 1 ", "0 1 2 "]
    assert rows.account["complete"]
    some = unspool.ask_each(file, "{words} words", **options(api))
    assert next(some)["record"]["id"] == 0
    again = unspool.ask_each(file, "{words} words", position=some.position, **options(api))
    assert [row["record"]["id"] for row in again] == list(range(1, 10))
    with pytest.raises(unspool.RequestError, match="`color`"):
        list(unspool.ask_each(file, "{color}", **options(api)))


@pytest.mark.parametrize("n", [1, 3, 50])
def test_records_are_cut_into_parts(
    api: Api, tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    asked = options(api) | {"api_key": None, "max_tokens_total": 10_000}
    rows = unspool.ask_each(records(tmp_path, 10), "{words}", **asked)
    parts = unspool.parts(rows, n)
    assert len(parts) == min(n, 10)
    answers = [row for part in parts for row in part.items()]
    assert [row["record"]["id"] for row in answers] == list(range(10))
    assert parts[-1].table().num_rows == parts[-1].count or n == 1


def test_a_part_of_records_is_whole_or_fails(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    file = records(tmp_path, 10)
    asked = options(api) | {"api_key": None}
    parts = unspool.parts(unspool.ask_each(file, "{words}", **asked), 3)
    # The file is not the one that was cut.
    with file.open("a") as more:
        more.write("{}\n")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:8]))
    assert len(list(parts[0].items())) == 3
    with pytest.raises(unspool.RequestError, match="has changed"):
        list(parts[2].items())
    file.write_text("".join(['{"id": 9, "words": 9}\n', *lines[1:10]]))
    with pytest.raises(unspool.RequestError, match="has changed"):
        list(parts[1].items())
    # A limit that is reached leaves a part short.
    file.write_text("".join(lines[:10]))
    limited = unspool.ask_each(file, "{words}", max_tokens_total=6, **asked)
    with pytest.raises(unspool.TruncatedError):
        list(unspool.parts(limited, 2)[0].items())
