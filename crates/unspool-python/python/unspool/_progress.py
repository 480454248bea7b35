"""How far a run is, for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

from ._items import Account

Show = Callable[["Account | None"], None]

#: Whether and how progress is shown: a bar or none, by default only where somebody sees it; a class
#: with the protocol of `tqdm`; a function that is called with the account.
Progress = Union[bool, type, Callable[[Account], Any], None]


@contextmanager
def bar(progress: Progress, name: str) -> Iterator[Show]:
    """Shows accounts until the block is left."""
    if progress is None:
        progress = _is_seen()
    if progress is True:
        progress = _tqdm() or _Line
    if isinstance(progress, type):
        shown = progress(desc=name, unit=" items", total=None)
        try:
            yield lambda account: _advance(shown, account)
        finally:
            shown.close()
    elif callable(progress):
        function = progress
        yield lambda account: function(account) if account else None
    else:
        yield lambda account: None


def _advance(shown: Any, account: Account | None) -> None:
    """Moves a bar to where the account stands."""
    if account is None:
        return
    total: Any = account.get("stated_total")
    if total is not None and shown.total != total:
        shown.total = total
    shown.update(account["items"] - shown.n)


def _is_seen() -> bool:
    return sys.stderr is not None and (sys.stderr.isatty() or _is_notebook())


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _tqdm() -> type | None:
    """`tqdm`, which knows notebooks, where it is installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    kind: type = tqdm
    return kind


class _Line:
    """What is shown without `tqdm`: a line on standard error."""

    def __init__(self, *, desc: str, unit: str, total: int | None) -> None:
        self.desc, self.unit, self.total, self.n = desc, unit, total, 0

    def update(self, count: int) -> None:
        self.n += count
        total = "" if self.total is None else f" of {self.total}"
        print(f"\r{self.desc}: {self.n}{total}{self.unit}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print(file=sys.stderr)
