"""A rank: a process that runs a whole stage with others, each on its share of every batch."""

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from convarium import lookup
from convarium.child_process import die_with_parent
from convarium.errors import StageFailed, UserError
from convarium.host import provenance
from convarium.stages.declaration import build_stage_config
from convarium.store.curves import build_reporter
from convarium.workers.failure import find_cause, format_error_line
from convarium.workers.fresh_process import build_fresh_runner
from convarium.workers.ranks import REQUEST_FILE, SOCKET_FILE
from convarium.workers.runtime import Parent, Runtime

if TYPE_CHECKING:
    from convarium.tasks.ranks import Ranks

COMMUNICATION_NAMES = ("gloo", "NCCL")  # in the lines of errors that tell of another rank's end; they have no class

Json = dict[str, Any]


def run_rank() -> None:
    """Run the stage that lies in the folder of the command line (FOLDER LAUNCHER_PID); write down why it failed."""
    die_with_parent()
    folder, launcher_pid = Path(sys.argv[1]), int(sys.argv[2])
    if os.getppid() != launcher_pid:  # it died before the call above
        os._exit(1)
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        _run_stage(folder, rank, count)
    except BaseException as error:
        _write_failure(folder, rank, error)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # threads of a broken group may keep a process from its end


def _run_stage(folder: Path, rank: int, count: int) -> None:
    text = (folder / REQUEST_FILE).read_text()
    request: Json = json.loads(text)

    import torch

    from convarium.tasks.ranks import join_ranks

    torch.set_num_threads(request["threads"])
    has_gpus = request["accelerator"] in ("auto", "gpu") and torch.cuda.is_available()
    ranks = join_ranks(rank, count, has_gpus)
    ranks.check_equal("request", sha256(text.encode()).hexdigest())
    with TemporaryDirectory() as own_folder, lookup.allow_packages(request["allow"]):
        worker = WorkerLine(folder / SOCKET_FILE) if ranks.is_first else None
        runtime = _build_runtime(request, ranks, Path(own_folder), worker)
        stage = lookup.find_by_name("stages", request["stage"])
        parents = tuple(Parent(signature, Path(path), record) for signature, path, record in request["parents"])
        result = stage(build_stage_config(request["stage"], request["stage_config"]), parents, runtime)
        network = runtime.files.network
        ranks.check_equal("result", sha256(network.read_bytes()).hexdigest() if network.exists() else "")
        if worker is not None:
            worker.finish(result)
    torch.distributed.destroy_process_group()


def _build_runtime(request: Json, ranks: "Ranks", own_folder: Path, worker: "WorkerLine | None") -> Runtime:
    """Return the stage's runtime; only the first rank's reaches beyond its process."""
    runtime = Runtime(
        folder=own_folder,
        checkpoint_folder=Path(request["checkpoint_folder"]),
        threads=request["threads"],
        accelerator=request["accelerator"],
        data_root=request["data_root"],
        report=lambda **_: None,
        check_lease=lambda: None,
        run_fresh=build_fresh_runner(request["threads"], Path(request["log"])),
        ranks=ranks,
        cache_folder=Path(request["cache_folder"]) if request["cache_folder"] else None,
    )
    return runtime if worker is None else worker.connect(runtime, request)


class WorkerLine:
    """The first rank's line to the stage's worker, which ends the ranks where the stage must not go on."""

    def __init__(self, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        self._connection = connection
        self._stream = connection.makefile("rw")

    def ask(self, name: str, value: Any = None) -> Any:
        """Return the worker's answer.

        Raises:
            StageFailed: it has gone.
        """
        self._stream.write(json.dumps({"name": name, "value": value}) + "\n")
        self._stream.flush()
        answer = self._stream.readline()
        if not answer:
            raise StageFailed("the stage's worker has gone")
        return json.loads(answer)

    def connect(self, runtime: Runtime, request: Json) -> Runtime:
        """Return the runtime with the stage's folder and reports, and the worker's answers."""
        return replace(
            runtime,
            folder=Path(request["folder"]),
            report=build_reporter(Path(request["curves"])),
            check_lease=partial(self.ask, "check_lease"),
            check_stopped=partial(self.ask, "check_stopped"),
            is_told_to_leave=partial(self.ask, "is_told_to_leave"),
            note_checkpoint=partial(self.ask, "note_checkpoint"),
            hold_host_alone=self._hold_host_alone,
            checkpoint_minutes=request["checkpoint_minutes"],
        )

    def finish(self, result: Any) -> None:
        """Hand over what the stage returned, and what it took."""
        memory = provenance.measure_peak_memory_bytes()
        device = provenance.read_device_name()
        self.ask("finish", {"result": result, "device": device, "peak_memory_bytes": memory})

    @contextmanager
    def _hold_host_alone(self) -> Iterator[None]:
        self.ask("enter_host_alone")
        try:
            yield
        finally:
            self.ask("leave_host_alone")


def _write_failure(folder: Path, rank: int, error: BaseException) -> None:
    line = format_error_line(error)
    is_lone = any(name in line for name in COMMUNICATION_NAMES)
    if is_lone:
        line = f"rank {rank} waited in vain for another: {line.rpartition('] ')[2]}"  # without a place in their source
    elif not isinstance(error, UserError | StageFailed):
        line = f"rank {rank}: {line}"
    failure = {
        "time": time.time(),
        "line": line,
        "is_lone": is_lone,
        "is_mistake": isinstance(error, UserError),
        "kind": getattr(error, "kind", None),
        "cause": find_cause(error),
        "trace": "".join(traceback.format_exception(error)),
    }
    draft = folder / f"draft-{rank}"
    draft.write_text(json.dumps(failure))
    draft.replace(folder / f"failure-{rank}.json")
