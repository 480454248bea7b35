"""The items of a source, as they arrive."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypedDict, TypeVar, cast

from . import _unspool

if TYPE_CHECKING:
    import pyarrow
    from typing_extensions import Unpack

    from ._pull import Pulled, PullOptions

T = TypeVar("T")

#: What an item becomes: its value (a dict, for most sources), its JSON text in UTF-8, or the same
#: as `str`.
Form = Literal["dict", "bytes", "str"]

#: What to do where something speaks against the source being complete: end with `DoubtError`, or
#: leave that to the caller, who looks at the account.
Doubts = Literal["raise", "allow"]

#: Where a source stands after an item: plain data, without credentials, that `json` can write.
Position = dict[str, Any]

#: A source as plain data.
Description = dict[str, Any]


class Account(TypedDict, total=False):
    """What a source did; every source has more to say than is named here."""

    #: The name of the source, such as `pages`.
    source: str
    #: Whether it is proved complete, or has given all that was asked for.
    complete: bool
    #: Why it ended.
    ended: Any
    #: What speaks against it being complete.
    doubts: list[Any]
    #: Items that were handed out.
    items: int
    #: Bytes of the bodies, after decompression.
    bytes: int
    #: Requests that were sent, retries and redirects included.
    requests: int
    #: Requests that were repeated after a failure.
    retries: int
    #: Seconds for which requests were held back.
    waited: float


class Items(_unspool.Stream[T], Generic[T]):
    """Items as they arrive, for `async for` and for `for`.

    Nothing is sent before the first item is asked for, and no more than that item needs. An
    error is the last thing that comes; a source that is not proved complete ends with one, so
    that a list that was collected is a whole list.

    A loop that is left, by `break`, `return` or an exception, closes the source and its socket.
    To go on after a loop, loop over one iterator: `posts = aiter(unspool.pages(…))`.

    An `await` that is cancelled loses nothing: the item that was on its way is the next one. Two
    tasks cannot wait for items of the same object at the same time.

    It is an asynchronous generator as PEP 525 has it, to which no values can be sent.
    """

    _description: Description

    @property
    def account(self) -> Account:
        """What the source did so far; after the end also how it ended."""
        return cast(Account, super().account)

    @property
    def position(self) -> Position | None:
        """Where the source stands after the item that was handed out last.

        To resume after it, later or elsewhere, give it to the same call as `position=`. None
        before the first item, and for a source that cannot resume.
        """
        return cast("Position | None", super().position)

    @property
    def description(self) -> Description:
        """The source as plain data, to be opened elsewhere; credentials as they were given."""
        return dict(self._description)

    def batches(self, schema: str | None = None) -> Batches:
        """The items as record batches of pyarrow, with typed columns, for `for` and `async for`.

        >>> async for batch in unspool.pages("https://api.example.com/posts").batches():
        ...     print(batch.num_rows)

        The columns are found from the first 10,000 items, as they are for Parquet files; where a later
        item does not fit, the batches from there on have wider columns, by the same rule. Rows of a
        query have the types that the database states. polars, DuckDB, pyarrow and others also take
        this object itself, through `__arrow_c_stream__`, whose columns cannot change: it ends with an
        exception of theirs where an item does not fit or the source fails.

        :param schema: columns, as a JSON Schema or lines of `name type`. These do not widen.
        :raises SinkError: an item does not fit into the columns.
        """
        return Batches(self.arrow_batches(schema))

    def table(self, schema: str | None = None) -> pyarrow.Table:
        """All items as a table of pyarrow, with the columns that all of them need; see `batches`."""
        import pyarrow

        # `pyarrow.table` would import pandas, to see whether it is given a data frame of that.
        return pyarrow.RecordBatchReader.from_stream(self.arrow_table(schema)).read_all()

    def to(self, target: str | os.PathLike[str], **options: Unpack[PullOptions]) -> Pulled:
        """Pulls all items into a file or a table: `unspool.pull` of this source, with its options.

        >>> unspool.pages("https://api.example.com/posts").to("posts.parquet", state="posts.state")
        """
        from ._pull import pull

        return pull(self, target, **options)

    async def ato(self, target: str | os.PathLike[str], **options: Unpack[PullOptions]) -> Pulled:
        """The same as `to`, for those who await."""
        from ._pull import apull

        return await apull(self, target, **options)

    def __repr__(self) -> str:
        account = self.account
        state = "complete" if account["complete"] else "closed" if self.is_closed else "open"
        counts = f"{account['items']} items, {account['requests']} requests"
        waiting = f", {self.waiting}" if self.waiting else ""
        return f"<unspool.{type(self).__name__} of {account['source']}: {state}, {counts}{waiting}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an open source cannot be pickled: `unspool.parts` gives what can")


class Batches:
    """Record batches of pyarrow, one after the other, for `for` and for `async for`.

    A loop that is left closes the source; an `await` that is cancelled loses nothing.
    """

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> pyarrow.RecordBatch:
        import pyarrow

        return pyarrow.record_batch(next(self._batches))

    def __aiter__(self) -> Batches:
        return self

    async def __anext__(self) -> pyarrow.RecordBatch:
        import pyarrow

        return pyarrow.record_batch(await self._batches.__anext__())


class Answer(Items[str]):
    """The text of a model's answer, in the pieces that it comes in."""

    @property
    def outcome(self) -> Account:
        """How the answer ended, with `stop` and `usage`: its account."""
        return self.account

    async def whole(self) -> str:
        """All of the text that is still to come.

        A model that stopped at a limit or refused is told by `outcome`; an answer that was cut
        is a `TruncatedError` with `partial_text`.
        """
        pieces = [piece async for piece in self]
        return "".join(pieces)

    def text(self) -> str:
        """The same, for those who do not await."""
        return "".join(self)


AsyncGenerator.register(Items)


def opened(
    kind: type[Items[Any]],
    description: Description,
    items: Form,
    doubts: Doubts = "raise",
    position: Mapping[str, Any] | None = None,
) -> Any:
    """Opens a description as items of this class."""
    if doubts not in ("raise", "allow"):
        raise ValueError(f'expected `doubts` to be "raise" or "allow", found {doubts!r}')
    made = kind(
        json.dumps(description, allow_nan=False),
        items=items,
        position=None if position is None else json.dumps(position),
        allows_doubts=doubts == "allow",
    )
    made._description = description
    return made
