"""A source cut into parts that can be read apart: what every engine needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import _unspool
from ._errors import RequestError, TruncatedError
from ._items import Answer, Description, Form, Items, opened


@dataclass(frozen=True)
class Part:
    """Some of the items of a source, as plain data: it is pickled and sent to a worker.

    It holds no credential: a `Secret` is looked up where the part is read. Read once more, as after
    its worker was lost, it gives the same items as long as the upstream has not changed.
    """

    #: The source, as JSON.
    description: str
    #: How many items there are, where that is known.
    count: int | None = None

    @property
    def ends_itself(self) -> bool:
        """Whether its source has no more items than the part."""
        source: str = json.loads(self.description)["source"]
        return self.count is None or source != "pages"

    def open(self, form: Form = "dict") -> Items[Any]:
        """The source of the part, which may have more items than the part."""
        description = json.loads(self.description)
        is_text = description["source"] == "ask" and form == "str"
        source: Items[Any] = opened(Answer if is_text else Items, description, form)
        return source

    def items(self, form: Form = "dict") -> Iterator[Any]:
        """The items of the part: all of them, or an error."""
        number = 0
        for number, item in enumerate(self.open(form), 1):
            yield item
            if number == self.count and not self.ends_itself:
                return
        if self.count is not None and number != self.count:
            raise TruncatedError(f"expected {self.count} items of {self}, and {number} came")

    def table(self, schema: str | None = None) -> Any:
        """The items of the part as a table of pyarrow, typed as `Items.table` types them."""
        import pyarrow

        most = None if self.ends_itself else self.count
        table = pyarrow.RecordBatchReader.from_stream(self.open().arrow_table(schema, most)).read_all()
        if self.count is not None and table.num_rows != self.count:
            raise TruncatedError(f"expected {self.count} items of {self}, and {table.num_rows} came")
        return table


def parts(source: Items[Any], n: int) -> list[Part]:
    """Cuts a source into up to `n` parts that give its items together, each once and in order.

    >>> for part in unspool.parts(unspool.pages(url, paginate="page"), 8):
    ...     pool.submit(total, part)

    A walk by page number or offset is cut by ranges of pages, for which its first page is read to
    learn how many there are; `rows` with a `key` of whole numbers by ranges of the key, and without one
    a table of PostgreSQL by its blocks (`ctid`); `ask_each` by records. Everything else is one part:
    cursors cannot be known in advance. A `rate` is divided among the parts. Every
    part ends with an error where something speaks against it being complete.

    :raises RequestError: a credential is given as it is; a `Secret` names one.
    """
    if n < 1:
        raise ValueError(f"expected one part or more, found {n}")
    description = written(source)
    if description["source"] == "pages" and n > 1:
        cut = _cut_pages(description, n)
    elif description["source"] == "rows" and n > 1:
        cut = _cut_rows(description, n)
    elif description.get("each") and n > 1:
        cut = _cut_records(description, n)
    else:
        cut = [Part(json.dumps(description))]
    return [_with_rate(part, len(cut)) for part in cut]


def written(source: Items[Any]) -> Description:
    """A source as it is sent elsewhere; refused where it holds a credential."""
    description: Description = json.loads(_unspool.written(json.dumps(source.description)))
    return description


def _cut_rows(description: Description, n: int) -> list[Part]:
    """Cuts a query by ranges of its key, or a table by its blocks."""
    text = json.dumps(description | {"partitions": n})
    try:
        return [Part(text) for text in _unspool.partitions(text)]
    except RequestError:
        if description.get("key"):
            raise
        # It cannot be cut, or it is wrong, which the one part says then.
        return [Part(json.dumps(description))]


def _cut_records(description: Description, n: int) -> list[Part]:
    """Cuts the records of a question for each of them."""
    each = description["each"] | {"partitions": n}
    cut, before = [], 0
    for text in _unspool.partitions(json.dumps(description | {"each": each})):
        until = json.loads(text)["each"]["until"]
        cut.append(Part(text, until - before))
        before = until
    return cut


def _cut_pages(description: Description, n: int) -> list[Part]:
    """Cuts a walk by ranges of its pages, where these can be known in advance."""
    paginate, per_page, total = _first_page(description)
    name = re.split("[:,]", paginate, maxsplit=1)[0]
    last = _option(paginate, "last")
    if name not in ("page", "offset") or (last is None and total is None):
        return [Part(json.dumps(description))]

    def part(count: int | None, **options: int) -> Part:
        return Part(json.dumps(description | {"paginate": _with(paginate, **options)}), count)

    if name == "page":
        first = _option(paginate, "first")
        first = 1 if first is None else first
        last = first + _pages(total or 0, per_page) - 1 if last is None else last
        return [part(None, first=begin, last=end) for begin, end in _ranges(first, last, n)]
    total = total or 0
    base = _option(paginate, "first") or 0
    return [
        part(
            min((end + 1) * per_page, total) - begin * per_page,
            first=base + begin * per_page,
            step=per_page,
        )
        for begin, end in _ranges(0, _pages(total, per_page) - 1, n)
    ]


def _first_page(description: Description) -> tuple[str, int, int | None]:
    """Reads the first page, and the first item of the second: how the walk goes on, how many items a
    page has, and how many there are in all by the upstream's word."""
    source = opened(Items, description, "bytes", "allow")
    count = 0
    for _ in source:
        if source.account["pages"] > 0:
            break
        count += 1
    account = source.account
    return account["paginate"], max(count, 1), account["stated_total"]


def _pages(total: int, per_page: int) -> int:
    return max(-(-total // per_page), 1)


def _ranges(first: int, last: int, n: int) -> Iterator[tuple[int, int]]:
    """Up to `n` ranges of about the same size that cover these numbers, each once."""
    n = min(n, last - first + 1)
    size, more = divmod(last - first + 1, n)
    begin = first
    for index in range(n):
        end = begin + size + (index < more) - 1
        yield begin, end
        begin = end + 1


def _option(paginate: str, name: str) -> int | None:
    """A number among the options of a kind of pagination."""
    found = re.search(rf"(?:^|[,:]){name}=(\d+)(?:,|$)", paginate)
    return int(found[1]) if found else None


def _with(paginate: str, **options: int) -> str:
    """The kind of pagination with these options in the place of its own."""
    for name, value in options.items():
        paginate = re.sub(rf",{name}=\d+(?=,|$)", "", paginate) + f",{name}={value}"
    return paginate


_RATE = re.compile(r"^\s*(\d+)\s*/\s*(.+)$")


def _with_rate(part: Part, n: int) -> Part:
    """The part with its share of the rate: every worker counts for itself."""
    description = json.loads(part.description)
    found = _RATE.match(description.get("http", {}).get("rate") or "")
    if n == 1 or not found:
        return part
    description["http"]["rate"] = _share(int(found[1]), found[2], n)
    return Part(json.dumps(description), part.count)


_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _share(count: int, unit: str, n: int) -> str:
    """The n-th part of a rate, in whole requests of a longer time where it is less than one."""
    for longer, seconds in _SECONDS.items():
        share = count * seconds // (_SECONDS[unit] * n)
        if share >= 1:
            return f"{share}/{longer}"
    return "1/h"
