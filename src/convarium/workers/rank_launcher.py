"""The process that starts a stage's ranks by `torch.distributed.run`, and says which one fell by a signal."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from convarium.child_process import build_python_command
from convarium.workers.ranks import ENDED_FILE

RANK_CODE = "from convarium.workers.rank_process import run_rank; run_rank()"
MONITOR_SECONDS = 0.2


def launch_ranks() -> None:
    """Start as many ranks as the command line says (FOLDER COUNT) and wait for their end."""
    import torch.distributed.run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    folder, count = sys.argv[1:]
    command = [*build_python_command(RANK_CODE), folder, str(os.getpid())]
    # Without an address they look for each other by the host's name, which need not lead to it.
    address = ["--standalone", "--local-addr=127.0.0.1"]
    how = [*address, f"--nproc-per-node={count}", f"--monitor-interval={MONITOR_SECONDS}", "--no-python"]
    launcher: Any = torch.distributed.run
    try:
        launcher.run(launcher.parse_args([*how, *command]))
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        _write_end(Path(folder) / ENDED_FILE, codes)
        sys.exit(1)


def _write_end(path: Path, exit_codes: dict[int, int]) -> None:
    """Write which rank was killed; SIGTERM is what the others get because of it."""
    for rank, code in exit_codes.items():
        if code < 0 and -code != signal.SIGTERM:
            path.write_text(json.dumps({"rank": rank, "signal": -code}))
            return
