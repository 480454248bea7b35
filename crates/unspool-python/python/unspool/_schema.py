"""The columns that an engine wants, in unspool's words and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def lines(schema: Any) -> str:
    """A schema of pyarrow as lines of `name type`."""
    return "\n".join(_field(field) for field in schema)


def laid_out(table: Any, schema: Any) -> Iterator[Any]:
    """A table that was read with the lines of a schema as batches of its very types; no value changes."""
    if more := set(table.column_names).difference(schema.names):
        raise ValueError(f"the schema has no column for {sorted(more)}")
    return iter(table.select(schema.names).cast(schema).to_batches())


def _field(field: Any) -> str:
    return f"{json.dumps(field.name)} {_type(field.type)}"


def _type(kind: Any) -> str:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return f"{_type(kind.value_type)}[]"
    if types.is_struct(kind):
        return f"struct({', '.join(_field(field) for field in kind)})"
    if types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    tests = {
        "bool": types.is_boolean, "int": types.is_integer, "double": types.is_floating,
        "timestamp": types.is_timestamp, "date": types.is_date, "null": types.is_null,
        "text": lambda kind: types.is_string(kind) or types.is_large_string(kind),
    }  # fmt: skip
    for name, test in tests.items():
        if test(kind):
            return name
    raise ValueError(f"items have no values for a column of {kind}")
