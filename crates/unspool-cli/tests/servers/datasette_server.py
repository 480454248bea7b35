"""A real Datasette over a table of orders.

    python datasette_server.py [PORT [ROWS]]        port 0, the default, takes a free one

The first line on stdout is `listening on http://127.0.0.1:PORT`; SIGTERM ends the one process.
A page has 100 rows, `_size=max` means 1000. A correct client counts ROWS (default 1234) items at:

    /shop/orders.json?_shape=array      items at "", next page only in the Link header, no total
    /shop/orders.json?_shape=array&_nl=on       the same as text/plain, one JSON object a line
    /shop/orders.json?_shape=objects    items at /rows, next page in the Link header and at /next_url,
                                        its cursor alone at /next, total at /filtered_table_rows_count
    /shop/orders.json                   the same, each row an array
    /shop/orders.json?_shape=object     the whole body is an object of rows by key, Link header only
    /shop/visits.json?_shape=objects&_sort_desc=at      a table without a key, cursors such as
                                        `2026-01-26,334`

Beside /rows the body holds other arrays (columns, primary_keys, suggested_facets); next and next_url
stand after the rows and are null on the last page, where the Link header is absent. Links are absolute.
Not pageable, and short: /shop.json?sql=select+*+from+orders&_shape=objects stops at 1000 rows with
"truncated": true, no Link header and no next.
"""

import argparse
import json
import socket
import sqlite3

import uvicorn
from datasette.app import Datasette
from datasette.database import Database


def fill(rows):
    """Makes the database; it lives in memory for as long as the connection that is returned."""
    connection = sqlite3.connect("file:shop?mode=memory&cache=shared", uri=True)
    connection.executescript(
        """
        create table orders (
            id integer primary key, reference text unique, customer text,
            placed text, total real, paid integer, lines text, note text
        );
        create table visits (at text, page text);
        """
    )
    customers = ["Zoë Müller", "王秀英", "O'Brien & Sons", "Łukasz “Lucky” Nowak"]
    notes = [None, "", "Leave at the door.\nRing twice.", 'Say "hello" {nicely} [please] \\o/']
    connection.executemany(
        "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                n,
                f"SO-{n:07}",
                customers[n % len(customers)],
                f"2026-01-{n % 28 + 1:02}T{n % 24:02}:00:00Z",
                n * 37 % 1000 / 4,
                n % 5 != 0,
                json.dumps([{"sku": f"A{n * 7 + k:06}", "quantity": k + 1} for k in range(n % 4)]),
                notes[n // 2 % len(notes)],
            )
            for n in range(1, rows + 1)
        ),
    )
    connection.executemany(
        "insert into visits values (?, ?)",
        ((f"2026-01-{n % 28 + 1:02}", f"/product/{n % 50}") for n in range(rows)),
    )
    connection.commit()
    return connection


def serve(port):
    datasette = Datasette()
    datasette.add_database(Database(datasette, memory_name="shop"))
    # As `datasette serve` does, but on a socket whose port is known beforehand.
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(datasette.app(), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("rows", type=int, nargs="?", default=1234)
    arguments = parser.parse_args()
    database = fill(arguments.rows)
    serve(arguments.port)
