"""What a source ends with when it cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._items import Account


class UnspoolError(Exception):
    """The base of all errors of unspool.

    The message says what was expected and what came, for which request. It never holds a
    credential.
    """

    #: The status of the answer, where that was the failure.
    status: int | None = None
    #: The upstream's own word for what went wrong, such as `overloaded_error`.
    code: str | None = None
    #: Whether the same request may succeed later.
    is_retryable: bool = False
    #: How long the upstream asks to wait before the next request, in seconds.
    retry_after: float | None = None
    #: The text of an answer that came before the failure.
    partial_text: str | None = None
    #: What the source had done until then; see `Items.account`.
    account: Account | None = None


class RequestError(UnspoolError, ValueError):
    """The request is wrong; nothing was sent."""


class ContentError(UnspoolError, ValueError):
    """A body that is not what was asked for."""


class TooLargeError(ContentError):
    """An item, or what surrounds the items, above the limit."""


class UpstreamError(UnspoolError, ConnectionError):
    """No connection, or an upstream that says that it failed."""


class SilenceError(UpstreamError, TimeoutError):
    """The upstream was silent for longer than it may be."""


class StatusError(UpstreamError):
    """An answer with a status that is not success; see `status`."""


class UnauthorizedError(StatusError, PermissionError):
    """The upstream does not know who asks, or not as one who may."""


class IncompleteError(UnspoolError):
    """What came is not proved to be all."""


class TruncatedError(IncompleteError, EOFError):
    """A body, an answer or a query that stopped before its end."""


class LoopedError(IncompleteError):
    """The upstream led back to where the source had been."""


class DoubtError(IncompleteError):
    """The end came, but something speaks against it being all; see `account["doubts"]`.

    All items were handed out before. `doubts="allow"` ends without this error, for callers who
    look at the account themselves.
    """


class SinkError(UnspoolError, OSError):
    """Items could not be written to where they were to go."""
