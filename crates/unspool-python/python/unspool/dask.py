"""Sources as bags and data frames of Dask.

>>> posts = unspool.dask.bag(unspool.pages(url, paginate="page"), npartitions=8)
>>> posts.map(lambda post: post["score"]).sum().compute()
"""

from __future__ import annotations

from typing import Any

import dask.bag
from dask import delayed

from ._items import Items
from ._parts import Part, parts


def _read(part: Part) -> list[Any]:
    return list(part.items())


def _frame(part: Part, meta: Any) -> Any:
    import pandas

    frame = pandas.DataFrame.from_records(list(part.items()))
    return frame if meta is None else frame.reindex(columns=meta.columns).astype(meta.dtypes)


def bag(source: Items[Any], npartitions: int = 8) -> dask.bag.Bag:
    """The items as a bag: a partition for each of `unspool.parts(source, npartitions)`.

    A part that fails, or is not proved complete, fails the computation; a part whose worker is lost is
    read once more by another one.
    """
    read = delayed(_read)
    return dask.bag.from_delayed([read(part) for part in parts(source, npartitions)])


def dataframe(source: Items[Any], npartitions: int = 8, meta: Any = None) -> Any:
    """The items as a data frame of Dask.

    :param meta: an empty frame of pandas with the columns and their types; by default the first part is
        read to find them.
    """
    import dask.dataframe

    read = delayed(_frame)
    frames = [read(part, meta) for part in parts(source, npartitions)]
    return dask.dataframe.from_delayed(frames, meta=meta)
