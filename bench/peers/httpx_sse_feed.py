"""Follows a feed with httpx-sse to the end of its body, and writes each event as a line."""

import json
import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client(timeout=None) as client:
    with connect_sse(client, "GET", sys.argv[1]) as source:
        for event in source.iter_sse():
            line = {"event": event.event, "id": event.id, "data": event.data}
            sys.stdout.write(json.dumps(line) + "\n")
