"""`convarium work RUN`: one worker of a run, in the foreground; what a job script, an ssh loop or a pod calls."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path
from convarium.errors import UserError
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.workers.run_file import Run

END_POLL_SECONDS = 0.5


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("work", "Be one more worker of a run that is going on, until nothing is left for it.")
    parser.usage = "convarium work RUN [options]"
    parser.epilog = "RUN is the run's folder, STORE/runs/…, or the run.json in it."
    return parser


def main(argv: Sequence[str]) -> int:
    """Work for a run; exit code 0 also where stages fail, which its controller tells, and where the run is over."""
    options, text = build_parser().parse_with_word("run", argv)
    if options.overrides:
        raise UserError(f"{options.overrides[0]}: convarium work takes a run and no settings: those are the run's own")
    from convarium.workers.leave_notice import heed_leave_notices, is_leave_notice_given
    from convarium.workers.places import describe_taken_places, take_place
    from convarium.workers.run_stage import WorkerStopped
    from convarium.workers.worker_process import watch_controller, work_in_place

    run = find_run(text)
    if run is None or run.is_over:
        return _print_end("the run is over")
    has_left = threading.Event()
    if run.owner is None:
        watch_controller(run.controller, partial(_interrupt_this_process, has_left))
    failures: list[str] = []
    try:
        with heed_leave_notices():
            place = take_place(run)
            if place is None:
                return _print_end(describe_taken_places(run))
            work_in_place(run, place, place.number, failures, _print_line)
    except (WorkerStopped, KeyboardInterrupt):
        if not (run.is_over or is_leave_notice_given()):
            raise KeyboardInterrupt from None
    except UserError:
        if not run.is_over:
            raise
    finally:
        has_left.set()
    for failure in failures:
        _print_line(failure)
    if run.is_over:
        return _print_end("the run is over")
    if is_leave_notice_given():
        return _leave(run)
    if failures:
        return _print_end(f"nothing is left for this worker; {format_noun_count(len(failures), 'stage')} failed")
    return _print_end("nothing is left for this worker")


def _leave(run: "Run") -> int:
    """Leave a run that goes on, as this process was told to.

    A job that was told so early enough has itself begun again. One that is about to be ended waits for that: Slurm
    begins a preempted job again unless it has ended by itself, and a cancelled one must not come back.
    """
    from convarium.workers.leave_notice import is_end_near
    from convarium.workers.slurm_job import find_own_job

    job = find_own_job(run.id)
    if job is None:
        return _print_end("left, as this worker was told to; what it was at goes on elsewhere")
    if is_end_near():
        while not run.is_over:
            time.sleep(END_POLL_SECONDS)
        return _print_end("the run is over")
    if job.requeue():
        return _print_end(f"left before the end of its time; Slurm begins job {job.id} again")
    return _print_end(f"left before the end of its time; Slurm refused to begin job {job.id} again")


def find_run(text: str) -> "Run | None":
    """Return the run that is meant by its folder or its run.json; None where it is over and gone.

    Its store is the one that its folder lies in: on this host it may be mounted at another path than the controller's.

    Raises:
        UserError: no run has lain there, or it is one of another store.
    """
    from convarium.store.store import Store
    from convarium.workers.run_file import Run
    from convarium.workers.run_folder import RUN_FILE, is_run_folder

    path = Path(os.path.abspath(parse_path(text)))  # noqa: PTH100, keeps links, and need not exist
    folder = path.parent if path.name == RUN_FILE else path
    root = folder.parents[1] if len(folder.parts) > 2 else folder
    if not is_run_folder(folder) or not Store(root).is_created:
        expected = "expected the folder of one that is going on, STORE/runs/…, or its run.json"
        raise UserError(f"{text} is not a run: {expected}")
    if not (folder / RUN_FILE).exists():
        return None
    run = Run.read(folder / RUN_FILE)
    if run.id != folder.name or _is_another_store(run.store, root):
        raise UserError(f"{text} is a copy of a run of the store {run.store}; name {run.file}")
    return replace(run, store=root, plan=run.plan and root / "plans" / run.plan.name)


def _is_another_store(path: Path, root: Path) -> bool:
    """Whether this host has a store at the path of a run's that is not the one at `root`; a mount point is none."""
    return (path / "store.json").is_file() and not path.samefile(root)


def _interrupt_this_process(has_left: threading.Event) -> None:
    if not has_left.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # not SIGINT, which a shell has its background jobs ignore


def _print_line(line: str) -> None:
    print(f"convarium: {line}", file=sys.stderr, flush=True)


def _print_end(line: str) -> int:
    print(line)
    return 0
