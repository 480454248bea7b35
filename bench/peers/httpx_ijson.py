"""The careful way in Python: items out of the body as it arrives, by ijson.

    python httpx_ijson.py URL            every item to stdout, a line each
    python httpx_ijson.py URL count      the number of items alone: no json.dumps, hardly any output
"""

import json
import sys

import httpx
import ijson


def items(url):
    with httpx.stream("GET", url, timeout=60) as response:
        response.raise_for_status()
        yield from ijson.items(ijson.from_iter(response.iter_bytes()), "item", use_float=True)


# The other backends are several times slower: one of them must not take its place unseen.
assert ijson.backend_name == "yajl2_c", ijson.backend_name
if sys.argv[2:] == ["count"]:
    print(sum(1 for _ in items(sys.argv[1])))
else:
    for item in items(sys.argv[1]):
        sys.stdout.write(json.dumps(item) + "\n")
