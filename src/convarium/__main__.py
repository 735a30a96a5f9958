"""`python -m convarium` is `convarium`: what Python puts first, the current folder, hides nothing from it."""

import os
import sys
from contextlib import suppress

if __name__ == "__main__":
    with suppress(OSError):  # a folder that was deleted is told by the command
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109
            del sys.path[0]
    from convarium.cli import main

    raise SystemExit(main())
