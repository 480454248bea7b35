"""A GraphQL API with a Relay connection, as Strawberry makes it.

    python strawberry_server.py [PORT [ROWS]]        port 0, the default, takes a free one

The first line on stdout is `listening on http://127.0.0.1:PORT`; SIGTERM ends the one process.
A correct client counts ROWS (default 1234) orders with a POST of a query of this connection to /graphql:

    query ($cursor: String) { shop { orders(first: 100, after: $cursor) {
        edges { cursor node { id reference total } } pageInfo { hasNextPage endCursor } } } }

A query that does not ask for pageInfo gives the first 100 and no sign of more. A wrong field is status
200 with `errors` and `"data": null`.
"""

import argparse
import logging
import socket

import strawberry
import uvicorn
from strawberry import relay
from strawberry.asgi import GraphQL

# Wrong queries are told to who made them.
logging.disable(logging.ERROR)
ORDERS = []


@strawberry.type
class Order(relay.Node):
    number: relay.NodeID[int]
    reference: str
    total: float


@strawberry.type
class Shop:
    @relay.connection(relay.ListConnection[Order], max_results=100)
    def orders(self) -> list[Order]:
        return ORDERS


@strawberry.type
class Query:
    @strawberry.field
    def shop(self) -> Shop:
        return Shop()


def serve(port):
    # On a socket whose port is known beforehand.
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = GraphQL(strawberry.Schema(query=Query))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("rows", type=int, nargs="?", default=1234)
    arguments = parser.parse_args()
    ORDERS += [
        Order(number=n, reference=f"SO-{n:07}", total=n * 37 % 1000 / 4)
        for n in range(1, arguments.rows + 1)
    ]
    serve(arguments.port)
