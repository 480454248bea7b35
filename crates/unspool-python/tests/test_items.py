"""What every source's object promises, to `for` and to `async for`."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import itertools
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
import unspool

from conftest import Api
from server_data import MIXED


def test_for_and_async_for_give_the_same(api: Api) -> None:
    async def collected() -> list[Any]:
        return [item async for item in unspool.pages(api("/items?last=3"))]

    items = list(unspool.pages(api("/items?last=3")))
    assert [item["id"] for item in items] == list(range(300))
    assert items[5] == {"id": 5, "name": "item 5", "tags": ["a", "b"], "price": 1.25}
    assert asyncio.run(collected()) == items


def test_items_are_dicts_bytes_or_str(api: Api) -> None:
    url = api("/items?last=1")
    as_bytes = list(unspool.pages(url, items="bytes"))
    assert all(type(item) is bytes for item in as_bytes)
    as_str = list(unspool.pages(url, items="str"))
    assert [item.encode() for item in as_str] == as_bytes
    assert [json.loads(item) for item in as_bytes] == list(unspool.pages(url))


def test_values_are_those_of_json_loads(api: Api) -> None:
    expected = json.loads(MIXED)
    assert list(unspool.pages(api("/mixed"))) == expected
    for value in expected:
        text = json.dumps(value)
        assert repr(unspool._unspool.loads(text)) == repr(value)


def test_texts_of_any_length_and_numbers_of_any_form_are_those_of_json_loads() -> None:
    loads = unspool._unspool.loads
    for character in ["x", "é", "日", '"', "\\", "\n"]:
        for length in range(40):
            for place in range(length):
                text = "x" * place + character + "x" * (length - place - 1)
                for escapes in (True, False):
                    value = json.dumps({text: [text, {text: text}]}, ensure_ascii=escapes)
                    assert loads(value) == json.loads(value), value
    whole = ["0", "7", "12", "999", "9007199254740993", "123456789012345678", "1234567890123456789", "9" * 30]
    places = ["", ".0", ".5", ".25", ".123456789", ".1234567890123456789", ".000000000000000001"]
    for sign, number, after, power in itertools.product(["", "-"], whole, places, ["", "e0", "E+5", "e-300"]):
        value = sign + number + after + power
        assert repr(loads(value)) == repr(json.loads(value)), value
        assert repr(loads(f"[{value},{value} ]")) == repr(json.loads(f"[{value},{value}]")), value


def test_what_is_not_json_is_refused() -> None:
    for text in ["", "{", "[1,]", '"a', "01", "nul", "{'a': 1}", "1 2"]:
        with pytest.raises(ValueError):
            unspool._unspool.loads(text)


def test_the_same_key_is_the_same_object(api: Api) -> None:
    first, second = itertools.islice(unspool.pages(api("/items?last=1")), 2)
    assert all(a is b for a, b in zip(first, second))


@contextmanager
def eager_collector() -> Iterator[None]:
    """The collector runs wherever it may, also while an item is made."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()


class Finalized:
    """Does something when it is collected. What that raises is seen by nobody."""

    def __init__(self, final: Callable[[], None]) -> None:
        self.itself, self.final = self, final

    def __del__(self) -> None:
        self.final()


def test_a_finalizer_may_read_items_while_one_is_made() -> None:
    loads, seen = unspool._unspool.loads, []
    with eager_collector():
        for _ in range(100):
            Finalized(lambda: seen.append(loads('{"seen": ["by", {"a": "finalizer"}]}')))
            loads('{"seen": [{"by": {}}, {"an": {}}, {"item": {}}]}')
    assert seen == [{"seen": ["by", {"a": "finalizer"}]}] * 100


@pytest.mark.timeout(60)
def test_a_finalizer_that_looks_at_the_source_while_an_item_is_made_does_not_wait_for_ever(api: Api) -> None:
    items, said = unspool.pages(api("/items?last=3")), set()

    def look() -> None:
        try:
            said.add(items.account["items"])
        except RuntimeError as error:
            said.add(str(error))

    kept = []
    with eager_collector():
        for item in items:
            # The next thing that is made is an item, of what was not given back.
            gc.disable()
            Finalized(look)
            gc.enable()
            kept.append(item)
    assert len(kept) == 300
    # From 3.12 on it runs between instructions alone.
    assert sys.version_info >= (3, 12) or "the next item is being taken" in said


def test_no_item_keeps_a_reference(api: Api) -> None:
    def seen() -> list[int]:
        item = next(unspool.pages(api("/items?last=1")))
        shared = [None, True, item["tags"][0], "a key of more than sixteen bytes", *item]
        return [sys.getrefcount(value) for value in shared]

    text = json.dumps({**next(unspool.pages(api("/items?last=1"))), "a key of more than sixteen bytes": [None, True]})
    before = seen()
    for _ in range(1000):
        unspool._unspool.loads(text)
    gone = list(unspool.pages(api("/items?last=20")))
    del gone
    assert all(abs(after - count) < 100 for after, count in zip(seen(), before))


def test_nothing_is_sent_before_the_first_item(api: Api) -> None:
    before = api.hits("/items")
    items = unspool.pages(api("/items?last=100"))
    aiter(items)
    assert items.position is None or api.hits("/items") == before
    assert api.hits("/items") == before


def test_a_demand_makes_only_its_requests(api: Api) -> None:
    before = api.hits("/items")
    items = iter(unspool.pages(api("/items?last=100")))
    for _ in range(100):
        next(items)
    assert api.hits("/items") == before + 1
    next(items)
    assert api.hits("/items") == before + 2


def test_it_is_an_asynchronous_generator(api: Api) -> None:
    items = unspool.pages(api("/items"))
    assert isinstance(items, collections.abc.AsyncGenerator)
    assert isinstance(items, collections.abc.AsyncIterator)
    assert isinstance(items, collections.abc.Iterator)


@pytest.mark.parametrize("way", ["break", "return", "raise", "aclose", "aclosing", "with", "del"])
def test_a_loop_that_is_left_closes_the_socket(api: Api, way: str) -> None:
    held: list[Any] = []

    async def loop() -> None:
        items = unspool.pages(api("/slow"))
        held.append(items)
        async for item in items:
            if item["id"] < 2:
                continue
            if way == "raise":
                raise KeyError
            if way == "return":
                return
            break
        else:
            raise AssertionError("the loop came to an end")

    async def other() -> None:
        items = unspool.pages(api("/slow"))
        if way == "with":
            async with items:
                await anext(items)
            held.append(items)
        elif way == "aclosing":
            async with aclosing(items):
                await anext(items)
            held.append(items)
        elif way == "aclose":
            await anext(items)
            await items.aclose()
            held.append(items)
        else:
            await anext(items)
            del items

    try:
        asyncio.run(loop() if way in ("break", "return", "raise") else other())
    except KeyError:
        assert way == "raise"
    api.wait_until_closed("/slow")


def test_a_for_that_is_left_closes_the_socket(api: Api) -> None:
    items = unspool.pages(api("/slow"))
    for item in items:
        if item["id"] == 2:
            break
    api.wait_until_closed("/slow")
    assert items.is_closed
    assert items.account["items"] == 3


def test_a_loop_over_what_was_left_is_no_short_list(api: Api) -> None:
    items = unspool.pages(api("/items?last=3"))
    for _ in items:
        break
    with pytest.raises(RuntimeError, match="was left"):
        list(items)

    async def again() -> None:
        async for _ in items:
            pass

    with pytest.raises(RuntimeError, match="was left"):
        asyncio.run(again())


def test_an_iterator_goes_on_where_a_loop_was_left(api: Api) -> None:
    async def walk() -> list[int]:
        items = aiter(unspool.pages(api("/items?last=2")))
        ids = []
        async for item in items:
            ids.append(item["id"])
            if item["id"] == 49:
                break
        async for item in items:
            ids.append(item["id"])
        return ids

    assert asyncio.run(walk()) == list(range(200))
    items = iter(unspool.pages(api("/items?last=2")))
    ids = [item["id"] for item in itertools.islice(items, 50)]
    assert ids + [item["id"] for item in items] == list(range(200))


def test_after_the_end_nothing_comes(api: Api) -> None:
    async def walk() -> None:
        items = unspool.pages(api("/items?last=1"))
        assert len([item async for item in items]) == 100
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(items)
        assert await anext(items, "none") == "none"
        closed = unspool.pages(api("/items?last=1"))
        await closed.aclose()
        await closed.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(closed)

    asyncio.run(walk())


def test_asend_and_athrow_are_as_pep_525_has_them(api: Api) -> None:
    async def walk() -> None:
        items = unspool.pages(api("/slow"))
        assert (await items.asend(None))["id"] == 0
        with pytest.raises(TypeError):
            await items.asend(1)  # type: ignore[arg-type]
        assert (await anext(items))["id"] == 1
        with pytest.raises(KeyError, match="mine"):
            await items.athrow(KeyError("mine"))
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    asyncio.run(walk())
    api.wait_until_closed("/slow")


def test_a_position_is_that_of_the_item_in_hand(api: Api) -> None:
    url = api("/items?last=3")
    for taken in [1, 99, 100, 101, 237, 299]:
        items = unspool.pages(url)
        walk = iter(items)
        ids = [next(walk)["id"] for _ in range(taken)]
        position = json.loads(json.dumps(items.position))
        rest = [item["id"] for item in unspool.pages(url, position=position)]
        assert ids + rest == list(range(300))


def test_the_account_counts_what_was_handed_out(api: Api) -> None:
    items = unspool.pages(api("/items?last=3"))
    walk = iter(items)
    assert items.account["items"] == 0
    for _ in range(150):
        next(walk)
    assert items.account["items"] == 150
    assert items.account["requests"] == 2
    assert not items.account["complete"]
    assert "150 items" in repr(items) and "open" in repr(items)
    assert len(list(walk)) == 150
    assert items.account["complete"]
    assert items.account["items"] == 300
    assert "complete" in repr(items)


def test_what_is_open_cannot_be_pickled(api: Api) -> None:
    with pytest.raises(TypeError, match="parts"):
        pickle.dumps(unspool.pages(api("/items")))


def test_arguments_are_what_is_sent(api: Api) -> None:
    url = api("/echo?a=1")
    params = {"b": True, "c": ["x", "y z"], "d": None, "e": "${HOME}"}
    (item,) = unspool.pages(url, params=params, paginate="single")
    assert item["query"] == {"a": "1", "b": "true", "c": "y z", "e": "${HOME}"}
    (item,) = unspool.pages(url, json={"q": [1, None]}, paginate="single")
    assert item["json"] == {"q": [1, None]}


def test_wrong_arguments_are_refused_at_once(api: Api) -> None:
    for wrong in [
        {"paginate": "no such kind"},
        {"items": "list"},
        {"items_at": "no pointer"},
        {"rate": "fast"},
        {"bearer": unspool.Secret("${UNSPOOL_NOT_SET}")},
        {"position": {"source": "rows"}},
    ]:
        with pytest.raises(unspool.RequestError):
            list(unspool.pages(api("/items"), **wrong))  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        unspool.pages(api("/items"), in_fligth=2)  # type: ignore[call-overload]
    with pytest.raises(ValueError):
        unspool.pages(api("/items"), doubts="maybe")  # type: ignore[call-overload]
