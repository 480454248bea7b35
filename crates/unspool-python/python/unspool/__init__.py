"""Data out of asynchronous sources, one item at a time, never silently short.

>>> import unspool
>>> async for post in unspool.pages("https://api.example.com/posts"):
...     print(post["title"])
>>> for post in unspool.pages("https://api.example.com/posts"):
...     print(post["title"])
"""

from ._errors import (
    ContentError,
    DoubtError,
    IncompleteError,
    LoopedError,
    RequestError,
    SilenceError,
    SinkError,
    StatusError,
    TooLargeError,
    TruncatedError,
    UnauthorizedError,
    UnspoolError,
    UpstreamError,
)
from ._items import Account, Answer, Batches, Description, Items, Position
from ._parts import Part, parts
from ._pull import Pulled, apull, pull
from ._sources import Secret, ask, ask_each, events, pages, rows
from ._unspool import __version__

__all__ = [
    "Account",
    "Answer",
    "Batches",
    "ContentError",
    "Description",
    "DoubtError",
    "IncompleteError",
    "Items",
    "LoopedError",
    "Part",
    "Position",
    "Pulled",
    "RequestError",
    "Secret",
    "SilenceError",
    "SinkError",
    "StatusError",
    "TooLargeError",
    "TruncatedError",
    "UnauthorizedError",
    "UnspoolError",
    "UpstreamError",
    "__version__",
    "apull",
    "ask",
    "ask_each",
    "events",
    "pages",
    "parts",
    "pull",
    "rows",
]
