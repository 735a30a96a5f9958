"""Make `python -m convarium` the same as `convarium`: modules in the current folder hide no others."""

import os
import sys
from contextlib import suppress

if __name__ == "__main__":
    with suppress(OSError):  # if the current folder was deleted, the command says so
        # `python -m` puts the current folder first, unless it was started with -P.
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109
            del sys.path[0]
    from convarium.cli import main

    raise SystemExit(main())
