"""A stage in several ranks: its worker keeps lease and beat, starts them, and answers what the first of them asks."""

import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from convarium.child_process import build_python_command, die_with_parent
from convarium.errors import StageFailed, UserError
from convarium.host.devices import THREAD_VARIABLES
from convarium.host.memory_kills import has_killed_since, read_memory_kills
from convarium.planning.plan import Node
from convarium.store.result_folder import ResultFolder
from convarium.workers.death import build_kill_error
from convarium.workers.runtime import Parent, Runtime

LAUNCHER_CODE = "from convarium.workers.rank_launcher import launch_ranks; launch_ranks()"
REQUEST_FILE, SOCKET_FILE, ENDED_FILE, FAILURE_PATTERN = "request.json", "socket", "ended.json", "failure-*.json"
POLL_SECONDS = 0.1
LEAVE_SECONDS = 15.0  # which the other ranks have to leave when the first has

Json = dict[str, Any]


def run_stage_in_ranks(
    node: Node, parents: Sequence[Parent], runtime: Runtime, count: int, files: ResultFolder
) -> Json:
    """Run the whole stage in each of `count` processes; only the first has the stage's folder and the worker's ear.

    Args:
        runtime: the stage's; what it raises when the first rank asks is raised here, and ends the ranks.
        files: of the node's folder, for curves and log.

    Returns:
        Of the first rank: "result", what the stage returned; "device"; "peak_memory_bytes".

    Raises:
        UserError: a rank raised one.
        StageFailed: a rank raised any other error, or was killed.
    """
    threads = max(1, runtime.threads // count)
    # Neither the store's path, which may be too long for a socket, nor a network disk, which may have none.
    with tempfile.TemporaryDirectory(prefix="convarium-ranks-") as name:
        folder = Path(name)
        request = _build_request(node, parents, runtime, threads, files)
        (folder / REQUEST_FILE).write_text(json.dumps(request))
        memory_kills = read_memory_kills()
        with _listen(folder / SOCKET_FILE) as listener, _start_launcher(folder, count, threads, files.log) as launcher:
            answer = _answer_calls(listener, launcher, runtime)
        if answer is None:
            raise _build_failure(folder, has_killed_since(memory_kills))
    return answer


def _build_request(node: Node, parents: Sequence[Parent], runtime: Runtime, threads: int, files: ResultFolder) -> Json:
    return {
        "stage": node.stage,
        "stage_config": node.stage_config,
        "parents": [[parent.signature, str(parent.folder), parent.record] for parent in parents],
        "allow": node.runtime.get("allow", ()),
        "folder": str(runtime.folder),
        "checkpoint_folder": str(runtime.checkpoint_folder),
        "threads": threads,
        "accelerator": runtime.accelerator,
        "data_root": runtime.data_root,
        "checkpoint_minutes": runtime.checkpoint_minutes,
        "cache_folder": str(runtime.cache_folder) if runtime.cache_folder else None,
        "curves": str(files.curves),
        "log": str(files.log),
    }


@contextmanager
def _listen(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        yield listener


@contextmanager
def _start_launcher(folder: Path, count: int, threads: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start what starts the ranks; they die with it, and it is killed in the end."""
    command = [*build_python_command(LAUNCHER_CODE), str(folder), str(count)]
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C goes to a whole process group; the controller alone is to handle it
            preexec_fn=_prepare_launcher,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _prepare_launcher() -> None:
    die_with_parent()
    # A scheduler may give its notice to all processes of a job; the worker heeds it. Ranks ignore what is ignored here.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _answer_calls(listener: socket.socket, launcher: "subprocess.Popen[bytes]", runtime: Runtime) -> Json | None:
    """Answer the first rank until all have left; return what it finished with, None where it did not."""
    with ExitStack() as connection, ExitStack() as host:
        answers: list[Json] = []
        functions: Mapping[str, Callable[[Json], Any]] = {
            "check_lease": lambda _: runtime.check_lease(),
            "check_stopped": lambda _: runtime.check_stopped(),
            "is_told_to_leave": lambda _: runtime.is_told_to_leave(),
            "note_checkpoint": lambda _: runtime.note_checkpoint(),
            "enter_host_alone": lambda _: host.enter_context(runtime.hold_host_alone()),
            "leave_host_alone": lambda _: host.close(),
            "finish": answers.append,
        }
        source, stream = listener, None
        while launcher.poll() is None:
            ready, _, _ = select.select([source], [], [], POLL_SECONDS)
            if not ready:
                continue
            if stream is None:
                source = connection.enter_context(listener.accept()[0])
                stream = source.makefile("rw")
                continue
            line = stream.readline()
            if not line:  # the first rank has ended, and the launcher ends the others
                _wait(launcher)
                break
            call = json.loads(line)
            value = functions[call["name"]](call["value"])
            stream.write(json.dumps(value if isinstance(value, bool) else None) + "\n")
            stream.flush()
    return answers[0] if answers else None


def _wait(launcher: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + LEAVE_SECONDS
    while launcher.poll() is None and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def _build_failure(folder: Path, has_memory_kill: bool) -> Exception:
    """Return the error of the rank that failed first; the others fail because they miss it, and some say so.

    Args:
        has_memory_kill: whether the kernel has killed some process for want of memory meanwhile.
    """
    ended = _read_json(folder / ENDED_FILE) or {"rank": 0, "signal": None}
    if ended["signal"]:
        return build_kill_error(f"rank {ended['rank']}", ended["signal"], has_memory_kill)
    failures = [failure for path in folder.glob(FAILURE_PATTERN) if (failure := _read_json(path))]
    if not failures:
        return StageFailed("the ranks ended without a result; the log says more")
    first = min(failures, key=lambda failure: (failure["is_lone"], failure["time"]))
    error = UserError(first["line"]) if first["is_mistake"] else StageFailed(first["line"])
    error.cause = first["cause"]
    if isinstance(error, UserError):
        error.kind = first["kind"]
    error.add_note(first["trace"])
    return error


def _read_json(path: Path) -> Json | None:
    try:
        value: Json = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value
