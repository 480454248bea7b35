"""Event loops, tasks, threads, processes and signals."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import unspool

from conftest import Api

Run = Callable[[Awaitable[Any]], Any]


def run_asyncio(work: Any) -> Any:
    return asyncio.run(work)


def run_uvloop(work: Any) -> Any:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def run_trio(work: Any) -> Any:
    trio = pytest.importorskip("trio")

    async def main() -> Any:
        return await work

    return trio.run(main)


LOOPS = pytest.mark.parametrize("run", [run_asyncio, run_uvloop, run_trio])


@LOOPS
def test_every_loop_gets_all_items(api: Api, run: Run) -> None:
    async def walk() -> tuple[list[int], str]:
        ids = [item["id"] async for item in unspool.pages(api("/items?last=20&delay=2"))]
        text = await unspool.ask("200", base_url=api(""), api_key="k", provider="anthropic").whole()
        return ids, text

    ids, text = run(walk())
    assert ids == list(range(2000))
    assert text == "".join(f"{number} " for number in range(200))


@LOOPS
def test_a_page_that_is_there_does_not_starve_the_loop(api: Api, run: Run) -> None:
    async def walk() -> tuple[int, int]:
        turns = 0
        is_over = False

        async def other() -> None:
            nonlocal turns
            while not is_over:
                turns += 1
                await pause()

        async def items() -> int:
            nonlocal is_over
            count = 0
            async for _ in unspool.pages(api("/big?count=20000"), paginate="single"):
                count += 1
            is_over = True
            return count

        if run is run_trio:
            import trio

            async def pause() -> None:
                await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                return await items(), turns

        async def pause() -> None:
            await asyncio.sleep(0)

        _, count = await asyncio.gather(other(), items())
        return count, turns

    count, turns = run(walk())
    assert count == 20000
    # Hundreds of milliseconds of parsing in slices of one.
    assert turns > 20


@pytest.mark.parametrize("run", [run_asyncio, run_uvloop])
def test_a_late_wait_for_loses_nothing(api: Api, run: Run) -> None:
    async def walk() -> tuple[list[int], int]:
        items = unspool.pages(api("/slow?delay=12"))
        got: list[int] = []
        late = 0
        while late < 20 or len(got) < 20:
            try:
                got.append((await asyncio.wait_for(anext(items), 0.005))["id"])
            except asyncio.TimeoutError:
                late += 1
        await items.aclose()
        return got, late

    got, late = run(walk())
    assert late >= 20
    assert got == list(range(len(got)))


def test_a_cancelled_scope_of_trio_loses_nothing(api: Api) -> None:
    trio = pytest.importorskip("trio")

    async def walk() -> None:
        items = unspool.pages(api("/slow?delay=12"))
        got: list[int] = []
        late = 0
        while late < 10 or len(got) < 10:
            with trio.move_on_after(0.005) as scope:
                got.append((await anext(items))["id"])
            late += scope.cancelled_caught
        assert got == list(range(len(got)))
        await items.aclose()

    trio.run(walk)
    api.wait_until_closed("/slow")


@LOOPS
def test_two_tasks_cannot_wait_for_one_item(api: Api, run: Run) -> None:
    async def walk() -> None:
        items = unspool.pages(api("/slow?delay=30"))
        errors: list[BaseException] = []
        got: list[int] = []

        async def take() -> None:
            try:
                for _ in range(3):
                    got.append((await anext(items))["id"])
            except RuntimeError as error:
                errors.append(error)

        if run is run_trio:
            import trio

            async with trio.open_nursery() as nursery:
                nursery.start_soon(take)
                nursery.start_soon(take)
        else:
            await asyncio.gather(take(), take())
        assert got == [0, 1, 2]
        assert [str(error) for error in errors] == ["another task waits for the next item already"]
        await items.aclose()

    run(walk())


def test_items_that_are_waited_for_cannot_be_closed(api: Api) -> None:
    async def walk() -> None:
        items = unspool.pages(api("/silent"))
        task = asyncio.ensure_future(anext(items))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="cancel it"):
            await items.aclose()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await items.aclose()

    asyncio.run(walk())
    api.wait_until_closed("/silent")


def test_a_cancelled_task_closes_the_socket(api: Api) -> None:
    async def walk() -> None:
        async def work() -> None:
            async for _ in unspool.pages(api("/slow")):
                pass

        task = asyncio.create_task(work())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(api.wait_until_closed, "/slow")

    asyncio.run(walk())


@pytest.mark.parametrize("run", [run_asyncio, run_uvloop])
def test_fifty_walks_at_a_time(api: Api, run: Run) -> None:
    async def walk() -> list[int]:
        async def one() -> int:
            count = 0
            async for _ in unspool.pages(api("/items?last=10&delay=10")):
                count += 1
            return count

        return list(await asyncio.gather(*(one() for _ in range(50))))

    before = unspool._unspool.wakes()
    assert run(walk()) == [1000] * 50
    # A wake for a page at most, and none for an item.
    assert unspool._unspool.wakes() - before <= 1500


def test_loops_one_after_the_other_leave_nothing(api: Api) -> None:
    async def walk() -> int:
        return len([item async for item in unspool.pages(api("/items?last=2&delay=2"))])

    assert asyncio.run(walk()) == 200
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        assert asyncio.run(walk()) == 200
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_walks_that_are_left_half_way_leave_nothing(api: Api) -> None:
    async def leave(count: int) -> None:
        for _ in range(count):
            async for item in unspool.pages(api("/slow?delay=0")):
                if item["id"] == 5:
                    break

    asyncio.run(leave(50))
    gc.collect()
    descriptors, memory = len(os.listdir("/proc/self/fd")), resident()
    asyncio.run(leave(300))
    gc.collect()
    api.wait_until_closed("/slow")
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 8
    assert resident() <= memory + 16, "MiB"


def test_references_of_items_are_given_up(api: Api) -> None:
    count = 1_000_000 if os.environ.get("UNSPOOL_TEST_FULL") == "1" else 100_000

    def walk(form: Any) -> int:
        url = api(f"/big?count={count}")
        return sum(1 for _ in unspool.pages(url, items=form, paginate="single"))

    def batches() -> int:
        items = unspool.pages(api(f"/big?count={count}"), paginate="single")
        return sum(len(batch) for batch in items.batches())

    ways = [functools.partial(walk, form) for form in ("dict", "bytes", "str")]
    for way in [*ways, batches]:
        way()
        gc.collect()
        memory = resident()
        for _ in range(2):
            assert way() == count
        gc.collect()
        # One forgotten reference an item would be 40 MiB at least.
        assert resident() <= memory + 16, "MiB"


def resident() -> int:
    """What this process has in memory, in MiB."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def test_a_for_works_inside_a_running_loop(api: Api) -> None:
    async def cell() -> int:
        return len(list(unspool.pages(api("/items?last=2"))))

    assert asyncio.run(cell()) == 200


def test_await_needs_a_loop(api: Api) -> None:
    with pytest.raises(RuntimeError, match="asyncio or trio"):
        unspool.pages(api("/silent")).__anext__().__await__().send(None)  # type: ignore[attr-defined]


def test_threads_walk_at_the_same_time(api: Api) -> None:
    results: list[int] = []

    def work() -> None:
        results.append(sum(1 for _ in unspool.pages(api("/items?last=10"))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1000] * 4


def test_another_thread_can_look_while_a_for_waits(api: Api) -> None:
    items = unspool.pages(api("/slow?count=40&delay=20"), paginate="single")
    thread = threading.Thread(target=lambda: list(items))
    thread.start()
    seen = set()
    while thread.is_alive():
        seen.add(items.account["items"])
        time.sleep(0.01)
    thread.join()
    assert len(seen) > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_walks_as_well(api: Api) -> None:
    code = f"""if True:
        import os, signal, unspool
        url = {api("/items?last=2")!r}
        begun = iter(unspool.pages({api("/items?last=3")!r}))
        next(begun)
        assert len(list(unspool.pages(url))) == 200
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            assert len(list(unspool.pages(url))) == 200
            try:
                list(begun)
            except RuntimeError as error:
                assert "another process" in str(error)
            else:
                raise AssertionError("a child went on with its parent's connection")
            del begun
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert len(list(begun)) == 299
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["for", "async for"])
def test_ctrl_c_ends_a_wait_for_a_silent_upstream(api: Api, way: str) -> None:
    code = f"""if True:
        import asyncio, unspool
        items = unspool.pages({api("/silent")!r})
        async def walk():
            async for _ in items: pass
        print("begun", flush=True)
        if {way!r} == "for":
            for _ in items: pass
        else:
            asyncio.run(walk())
    """
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stderr
    assert child.stdout.readline() == "begun\n"
    time.sleep(0.3)
    begin = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in stderr
    assert child.returncode != 0
    assert time.monotonic() - begin < 10
