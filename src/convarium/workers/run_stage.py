"""One stage under its lease: run it, publish its files and then its record, or write down why not."""

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convarium import lookup
from convarium.errors import ProcessKilled, StageFailed, UserError, is_interrupt
from convarium.host import provenance
from convarium.host.process import current_process
from convarium.host.room import RoomPlace
from convarium.planning.plan import Node
from convarium.stages.declaration import build_stage_config
from convarium.store import curves, disk
from convarium.store.result_folder import ResultFolder
from convarium.store.result_record import RECORD_FORMAT
from convarium.store.store import Store
from convarium.workers import owned_files, stage_log
from convarium.workers.death import Death
from convarium.workers.failure import Failure, FailureNotRecorded, build_failure
from convarium.workers.fresh_process import build_fresh_runner
from convarium.workers.lease import Lease, LeaseLost
from convarium.workers.leave_notice import is_time_over
from convarium.workers.output_capture import capture_stage_output
from convarium.workers.run_file import Run
from convarium.workers.runtime import Parent, Runtime
from convarium.workers.stage_call import call_stage, count_ranks
from convarium.workers.stored_inputs import format_damaged_parent_hint

LEAVES_UNTIL_FAILED = 3


class WorkerStopped(BaseException):
    """The controller wants its workers to leave; a BaseException, which passes a stage's `except Exception`."""


class StageUnwanted(BaseException):
    """The newest plan does not ask for the stage any more; a BaseException for the same reason."""


@dataclass(frozen=True)
class StageRun:
    """One attempt of a worker at a node, under a lease that the worker holds.

    Attributes:
        place: the worker's place in the host's room; None where only a failure is recorded.
        is_wanted: whether the plan still asks for the node.
    """

    node: Node
    lease: Lease
    store: Store
    run: Run
    threads: int
    place: RoomPlace | None = None
    is_wanted: Callable[[Node], bool] = lambda node: True

    @property
    def folder(self) -> Path:
        """The node's folder."""
        return self.lease.folder

    @property
    def files(self) -> ResultFolder:
        """The files in the node's folder."""
        return ResultFolder(self.folder)

    def run_and_publish(self) -> str | None:
        """Run the stage and publish its result; return the failure's line, None if there was no failure.

        Where a process of it was killed, or its lease was lost, there is neither result nor failure: it is begun again.

        Raises:
            WorkerStopped: the worker has to leave; the lease is released.
            FailureNotRecorded: the failure could not be written down.
        """
        try:
            stage_log.log_attempt_start(self.files.log, self.lease.number + 1)
            record = self._run_and_build_record()
            self._publish(record)
        except LeaseLost:
            self._release_lease()
        except BaseException as error:
            # Once the run is stopped, a stage may end by any error (its fresh process was killed): that is no failure.
            is_stopped = isinstance(error, WorkerStopped) or is_interrupt(error) or self.run.has_to_be_left
            if is_stopped:
                stage_log.append_log_line(self.files.log, "stopped")
                self._leave()
                raise WorkerStopped from None
            if isinstance(error, StageUnwanted) or not self.is_wanted(self.node):
                stage_log.append_log_line(self.files.log, "left: no plan asks for it any more")
                self._release_lease()
                return None
            if self.files.record.exists():
                # A former owner had slept, and has published the result and cleared away what this one worked on.
                self.finish()
                return None
            if isinstance(error, ProcessKilled):
                stage_log.append_log_line(self.files.log, str(error))
                self.lease.note_death(Death(error.cause, str(error), current_process().host))
                self._release_lease()
                return None
            return self.record_failure(
                build_failure(error, format_damaged_parent_hint(str(error), self.node.parents, self.store))
            )
        return None

    def record_failure(self, failure: Failure) -> str | None:
        """Write `failed.json` and release the lease; return the failure's line, None if the lease was lost.

        Raises:
            FailureNotRecorded: the disk refuses to be written to.
        """
        record = {
            "format": RECORD_FORMAT,
            "signature": self.node.signature,
            "stage": self.node.stage,
            "name": self.node.name,
            "error": failure.line,
            "mistake": failure.mistake,
            "kind": failure.kind,
            "cause": failure.cause,
            "traceback": failure.trace,
            "attempts": self._count_attempts() + 1,
            "run": self.run.id,
            "host": failure.host or current_process().host,
            "log": str(self.files.log.relative_to(self.store.root)),
            "ended": _format_now(),
        }
        try:
            self.lease.check()
            _write_failure(self.files.failure, record, self.run)
            logged_trace = "" if failure.mistake else failure.trace
            stage_log.append_log_line(self.files.log, f"failed: {failure.line}", logged_trace)
        except LeaseLost:
            return None
        except OSError as error:
            raise FailureNotRecorded(
                f"{self.node.stage} {self.node.name}: {failure.line} ({error.strerror})"
            ) from error
        finally:
            self._release_lease()
        return failure.line

    def _count_attempts(self) -> int:
        """Return how many attempts the last failure's record counts, 0 where there is no record to read."""
        try:
            last_failure = disk.read_json_object(self.files.failure, {"attempts": int})
        except (UserError, OSError):
            return 0
        return int(last_failure["attempts"]) if last_failure else 0

    def finish(self) -> None:
        """Remove what a finished result does not need any more: leftovers of its making, then its leases."""
        owned_files.remove_leftovers(self.folder)
        self.lease.remove()

    def _run_and_build_record(self) -> dict[str, Any]:
        # A copy: what a stage does to its config must not reach the record, which holds it as it was hashed.
        config = build_stage_config(self.node.stage, copy.deepcopy(self.node.stage_config))
        runtime = self._build_runtime()
        allowed_packages = self.node.runtime.get("allow", ())
        parents = tuple(self._find_parent(signature) for signature in self.node.parents)
        # In the controller's own process the progress display writes to the terminal while the stage runs.
        has_own_process = self.run.controller != current_process()
        started = _format_now()
        start_seconds = time.monotonic()
        provenance.reset_peak_memory()
        with (
            lookup.allow_packages(allowed_packages),
            capture_stage_output(self.files.log, whole_process=has_own_process),
        ):
            made = call_stage(self.node, config, parents, runtime, self.files)
        return {
            "format": RECORD_FORMAT,
            "signature": self.node.signature,
            "stage": self.node.stage,
            "version": self.node.version,
            "stage_config": self.node.stage_config,
            "parents": list(self.node.parents),
            "fingerprint": self.node.fingerprint,
            "name": self.node.name,
            "work": self.node.work,
            "result": made["result"],
            "started": started,
            "seconds": round(time.monotonic() - start_seconds, 3),
            "device": made["device"],
            "ranks": count_ranks(self.node),
            "threads": self.threads,
            "peak_memory_bytes": made["peak_memory_bytes"],
            **provenance.collect_provenance(),
        }

    def _build_runtime(self) -> Runtime:
        work_folder = self.files.work_folder(self.lease.number)
        # Files of earlier attempts are never reused, only their checkpoints are. A later attempt's are its own: this
        # process may have slept since it took the lease.
        self.lease.check()
        for other_folder in owned_files.list_work_folders(self.folder):
            if owned_files.parse_work_number(other_folder) <= self.lease.number:
                shutil.rmtree(other_folder, ignore_errors=True)
        work_folder.mkdir()
        checkpoint_folder = self.files.checkpoints
        checkpoint_folder.mkdir(exist_ok=True)
        return Runtime(
            folder=work_folder,
            checkpoint_folder=checkpoint_folder,
            threads=self.threads,
            accelerator=self.node.runtime.get("accelerator", "auto"),
            data_root=self.node.runtime.get("root"),
            report=curves.build_reporter(self.files.curves),
            check_lease=self._check_lease,
            check_stopped=self._check_stopped,
            is_told_to_leave=self._is_told_to_leave,
            note_checkpoint=self._note_checkpoint,
            hold_host_alone=self._hold_host_alone,
            run_fresh=build_fresh_runner(self.threads, self.files.log),
            checkpoint_minutes=self.node.runtime.get("checkpoint_minutes"),
            cache_folder=disk.cache_folder_of(self.store.root),
        )

    @contextmanager
    def _hold_host_alone(self) -> Iterator[None]:
        """Let no other stage of this host run for a while; the lease is kept meanwhile."""
        assert self.place is not None
        room = self.place.room
        notice = self.run.build_wait_notice(self.node.signature)

        def look_while_waiting() -> None:
            notice.update(lambda: f"{self.node.name}: {room.describe_wait()}")
            self._check_stopped()
            self._check_lease()

        try:
            with self.place.hold_alone(look_while_waiting):
                notice.clear()
                yield
        finally:
            notice.clear()

    def _check_lease(self) -> None:
        self.lease.check()
        with suppress(OSError):
            stage_log.limit_log_size(self.files.log)

    def _check_stopped(self) -> None:
        if self.run.has_to_be_left:
            raise WorkerStopped
        if not self.is_wanted(self.node):
            raise StageUnwanted

    def _is_told_to_leave(self) -> bool:
        return self.run.has_to_be_left or not self.is_wanted(self.node)

    def _note_checkpoint(self) -> None:
        self.lease.note_progress()
        self._check_stopped()

    def _find_parent(self, signature: str) -> Parent:
        record = self.store.find_record(signature)
        folder = self.store.find_folder(signature)
        if record is None or folder is None:
            raise StageFailed(f"the result {signature} it starts from is gone")
        return Parent(signature, folder, record)

    def _publish(self, record: dict[str, Any]) -> None:
        """Move the files into place, then link the record; of two owners the first record wins, and equals the other.

        Raises:
            LeaseLost: another worker owns the stage by now.
        """
        self.lease.check()
        curves.remove_repeated_reports(self.files.curves)
        for path in sorted(self.files.work_folder(self.lease.number).iterdir()):
            disk.sync_file(path)
            path.replace(self.folder / path.name)
        stage_log.append_log_line(self.files.log, f"done in {record['seconds']} s")
        # The record makes the result a finished one, so the names of its files must be on the disk before it is.
        disk.sync_folder(self.folder)
        self.lease.check()
        disk.publish_json(self.files.record, record)
        self.finish()

    def _leave(self) -> None:
        """Give the lease back; record a failure where the time of several workers was not enough for a checkpoint."""
        if is_time_over() and not self.run.is_stopped:
            self.lease.note_time_over()
            if self.lease.leaves >= LEAVES_UNTIL_FAILED:
                line = f"the time of its job was over {self.lease.leaves} times without a checkpoint in between"
                self.record_failure(Failure(f"{line}: raise hydra.launcher.timeout_min", "time limit"))
                return
        self._release_lease()

    def _release_lease(self) -> None:
        shutil.rmtree(self.files.work_folder(self.lease.number), ignore_errors=True)
        self.lease.release()


def _write_failure(path: Path, record: dict[str, Any], run: Run) -> None:
    """Write a failure into its stage's folder; where only that folder can't be written to, into the run's."""
    try:
        disk.write_json(path, record)
    except OSError as error:
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise
        run.record_failure(record["signature"], record)


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
