"""Items into files and tables, exactly once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from . import _unspool
from ._items import Account, Doubts, Items
from ._progress import Progress, bar

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: How often a run is looked at, in seconds.
_LOOK = 0.1


class Pulled(TypedDict, total=False):
    """What a run from a source into a sink did."""

    #: What the source did; None where the target was complete already.
    source: Account | None
    #: What the sink did, and what it holds: `target`, `items`, `bytes`, `before`.
    sink: dict[str, Any]


class _StartOptions(TypedDict, total=False):
    """What decides on a run."""

    state: str | os.PathLike[str] | None
    key: str | Sequence[str] | None
    schema: str | None
    overwrite: bool
    checkpoint_after: float | None
    doubts: Doubts


class PullOptions(_StartOptions, total=False):
    """What `pull` takes beside the source and the target."""

    progress: Progress


def _start(
    source: Items[Any],
    target: str | os.PathLike[str],
    *,
    state: str | os.PathLike[str] | None = None,
    key: str | Sequence[str] | None = None,
    schema: str | None = None,
    overwrite: bool = False,
    checkpoint_after: float | None = None,
    doubts: Doubts = "raise",
) -> _unspool.Pulling:
    return _unspool.Pulling(
        json.dumps(source.description),
        os.fspath(target),
        state=state,
        key=[key] if isinstance(key, str) else list(key or ()),
        schema=schema,
        overwrite=overwrite,
        checkpoint_after=checkpoint_after,
        allows_doubts=doubts == "allow",
    )


def pull(
    source: Items[Any],
    target: str | os.PathLike[str],
    *,
    state: str | os.PathLike[str] | None = None,
    key: str | Sequence[str] | None = None,
    schema: str | None = None,
    overwrite: bool = False,
    checkpoint_after: float | None = None,
    doubts: Doubts = "raise",
    progress: Progress = None,
) -> Pulled:
    """Pulls all items of a source into a file or a table.

    >>> unspool.pull(unspool.pages("https://api.example.com/posts"), "posts.parquet", state="posts.state")

    Killed at any moment and called again, it ends with the items of an undisturbed run. The other
    threads of the program run meanwhile, and Ctrl-C stops it; what was durable stays.

    :param source: what a function such as `unspool.pages` gave; its own items are not touched.
    :param target: a file by its ending (`.jsonl`, `.json`, `.csv`, `.parquet`, also `.gz`, `.zst`), or
        a table (`sqlite:FILE#TABLE`, `postgres://…#TABLE`).
    :param state: a file of its own that says how far a file is durable; tables keep it themselves.
    :param key: the members that tell items apart, where a table is to replace them.
    :param schema: columns, as a JSON Schema or lines of `name type`; by default they are found.
    :param overwrite: whether what the target holds is replaced.
    :param checkpoint_after: how often a checkpoint is made, in seconds.
    :param progress: True or False for a bar on standard error or in a notebook, by default only where
        somebody sees it; a class with `tqdm`'s protocol; or a function that is called with the account.

    :raises DoubtError: the source is not proved complete; its items are in the target.
    """
    run = _start(
        source,
        target,
        state=state,
        key=key,
        schema=schema,
        overwrite=overwrite,
        checkpoint_after=checkpoint_after,
        doubts=doubts,
    )
    try:
        with bar(progress, os.fspath(target)) as show:
            while (pulled := run.wait(_LOOK)) is None:
                show(run.account)
            show(pulled["source"])
    finally:
        run.cancel()
    done: Pulled = pulled
    return done


async def apull(
    source: Items[Any],
    target: str | os.PathLike[str],
    *,
    progress: Progress = None,
    **options: Unpack[_StartOptions],
) -> Pulled:
    """The same as `pull`, for those who await; to cancel it stops it."""
    run = _start(source, target, **options)
    sleep = _sleep()
    try:
        with bar(progress, os.fspath(target)) as show:
            while (pulled := run.wait(0)) is None:
                show(run.account)
                await sleep(_LOOK / 5)
            show(pulled["source"])
    finally:
        run.cancel()
    done: Pulled = pulled
    return done


def _sleep() -> Callable[[float], Any]:
    """How one sleeps in the running event loop."""
    import asyncio

    if asyncio._get_running_loop() is None and "trio" in sys.modules:
        sleep: Callable[[float], Any] = sys.modules["trio"].sleep
        return sleep
    return asyncio.sleep
