"""Rows of a PostgreSQL query, as one writes that in Python.

    python rows.py ENGINE ADDRESS SQL [FILE]

`asyncpg` and `psycopg` write lines of JSON to standard output, from cursors that fetch 1000 rows at a
time; `adbc` writes a Parquet file with pyarrow.
"""

import asyncio
import json
import sys


def write(row):
    sys.stdout.write(json.dumps(row, default=str) + "\n")


async def with_asyncpg(address, sql):
    import asyncpg

    connection = await asyncpg.connect(address)
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(sql, prefetch=1000):
            write(dict(row))
    await connection.close()


async def with_psycopg(address, sql):
    import psycopg
    from psycopg.rows import dict_row

    async with await psycopg.AsyncConnection.connect(address, row_factory=dict_row) as connection:
        async with connection.cursor(name="rows") as cursor:
            cursor.itersize = 1000
            await cursor.execute(sql)
            async for row in cursor:
                write(row)


def with_adbc(address, sql, file):
    import adbc_driver_postgresql.dbapi
    import pyarrow.parquet

    with adbc_driver_postgresql.dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        batches = cursor.fetch_record_batch()
        with pyarrow.parquet.ParquetWriter(file, batches.schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)


engine, arguments = sys.argv[1], sys.argv[2:]
if engine == "adbc":
    with_adbc(*arguments)
else:
    asyncio.run({"asyncpg": with_asyncpg, "psycopg": with_psycopg}[engine](*arguments))
