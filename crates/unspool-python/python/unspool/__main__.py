"""The command `unspool`, which is `python -m unspool` as well."""

from __future__ import annotations

import signal
import sys

from . import _unspool


def main() -> int:
    """Runs the command as the binary does: signals are its own, and not the interpreter's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _unspool.main(["unspool", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
