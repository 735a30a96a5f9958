"""One stage under its lease: run it, publish its files and then its record, or write down why not."""

import copy
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium import names
from convarium.errors import StageFailed, UserError, is_interrupt
from convarium.store import contents, curves, disk, log, provenance
from convarium.store.capture import captured
from convarium.store.fresh import in_fresh
from convarium.store.lease import Lease, LeaseLost
from convarium.store.plan import Node
from convarium.store.process import current
from convarium.store.record import FORMAT, made_again
from convarium.store.run_file import Run
from convarium.store.runtime import Parent, Runtime
from convarium.store.signature import canonical_json
from convarium.store.store import Store

LONGEST_LINE = 400
NETWORK, DIGEST = "network.cvm", 32


class Stopped(BaseException):
    """The controller wants its workers to leave."""


class Unrecorded(Exception):
    """A failure that could not even be written down: the store's disk takes nothing."""


@dataclass(frozen=True)
class Execution:
    """A node whose lease a worker holds."""

    node: Node
    lease: Lease
    store: Store
    run: Run
    threads: int

    @property
    def folder(self) -> Path:
        """The node's folder."""
        return self.lease.folder

    @property
    def log(self) -> Path:
        """What the stage prints."""
        return self.folder / log.NAME

    def make(self) -> str | None:
        """Run the stage and publish its result; return the failure's line if there was one.

        Raises:
            Stopped: the worker was told to leave; the lease is released.
            Unrecorded: the failure could not be written down.
        """
        try:
            log.begin(self.log, self.lease.number + 1)
            self._publish(self._result())
        except LeaseLost:
            self._leave()
        except BaseException as error:
            if isinstance(error, Stopped) or is_interrupt(error) or self.run.is_stopped:  # by whatever it fell
                log.say(self.log, "stopped")
                self._leave()
                raise Stopped from None
            trace = "".join(traceback.format_exception(error))
            line = one_line(error) + self._advice(str(error))
            return self.fail(line, trace, isinstance(error, UserError), getattr(error, "kind", None))
        return None

    def fail(self, line: str, trace: str = "", mistake: bool = False, kind: str | None = None) -> str | None:
        """Write `failed.json`, unless the lease is lost; return the line.

        Args:
            mistake: the user can mend it.
            kind: of a UserError that is a value in a comparison.
        """
        record = {
            "format": FORMAT,
            "signature": self.node.signature,
            "stage": self.node.stage,
            "name": self.node.name,
            "error": line,
            "mistake": mistake,
            "kind": kind,
            "traceback": trace,
            "attempts": self._attempts() + 1,
            "run": self.run.id,
            "host": current().host,
            "ended": _now(),
        }
        try:
            self.lease.check()
            _write_failure(self.folder / "failed.json", record, self.run)
            log.say(self.log, f"failed: {line}", "" if mistake else trace)
        except LeaseLost:
            return None
        except OSError as error:
            raise Unrecorded(f"{self.node.stage} {self.node.name}: {line} ({error.strerror})") from error
        finally:
            self._leave()
        return line

    def _attempts(self) -> int:
        with suppress(UserError, OSError):
            return int(
                (disk.read_object(self.folder / "failed.json", {"attempts": int}) or {"attempts": 0})["attempts"]
            )
        return 0

    def clear(self) -> None:
        """Remove all that a finished result does not need."""
        clear(self.folder)
        self.lease.remove()

    def _result(self) -> dict[str, Any]:
        own, runtime = copy.deepcopy(self.node.stage_config), self._runtime()
        outside = names.allowing(self.node.runtime.get("allow", ()))
        parents = tuple(self._parent(signature) for signature in self.node.parents)
        started, clock = _now(), time.monotonic()
        provenance.forget_peak_memory()
        with outside, captured(self.log, whole_process=self.run.controller != current()):
            stage = _loaded(self.node.stage, self.threads)
            result = stage(own, parents, runtime)
        _check_result(result)
        return {
            "format": FORMAT,
            "signature": self.node.signature,
            "stage": self.node.stage,
            "version": self.node.version,
            "stage_config": self.node.stage_config,
            "parents": list(self.node.parents),
            "fingerprint": self.node.fingerprint,
            "name": self.node.name,
            "work": self.node.work,
            "result": result,
            "started": started,
            "seconds": round(time.monotonic() - clock, 3),
            "device": provenance.device(),
            "threads": self.threads,
            "peak_memory_bytes": provenance.peak_memory_bytes(),
            **provenance.provenance(),
        }

    def _runtime(self) -> Runtime:
        work, checkpoints = self.folder / f"work.{self.lease.number}", self.folder / "checkpoints"
        for left in contents.works(self.folder):
            shutil.rmtree(left, ignore_errors=True)
        work.mkdir()
        checkpoints.mkdir(exist_ok=True)
        return Runtime(
            folder=work,
            checkpoints=checkpoints,
            threads=self.threads,
            accelerator=self.node.runtime.get("accelerator", "auto"),
            root=self.node.runtime.get("root"),
            report=curves.reporter(self.folder / "curves.jsonl"),
            check=self._check,
            fresh=in_fresh(self.threads, self.log),
            cache=disk.beside(self.store.root),
        )

    def _check(self) -> None:
        if self.run.is_stopped:
            raise Stopped
        self.lease.check()
        with suppress(OSError):
            log.bound(self.log)

    def _parent(self, signature: str) -> Parent:
        done, folder = self.store.done(signature), self.store.path(signature)
        if done is None or folder is None:
            raise StageFailed(f"the result {signature} it starts from is gone")
        return Parent(signature, folder, done)

    def _publish(self, record: dict[str, Any]) -> None:
        """Put the files in place, then the record; the first record wins, and equals any other."""
        self.lease.check()
        curves.tidy(self.folder / "curves.jsonl")
        for path in sorted((self.folder / f"work.{self.lease.number}").iterdir()):
            disk.sync_file(path)
            path.replace(self.folder / path.name)
        log.say(self.log, f"done in {record['seconds']} s")
        disk.sync_folder(self.folder)
        self.lease.check()
        disk.publish_json(self.folder / "done.json", record)
        self.clear()

    def _advice(self, line: str) -> str:
        """What to do where a parent's network, which `line` names, is what went wrong."""
        folders = [self.store.path(signature) for signature in self.node.parents]
        files = [folder / NETWORK for folder in folders if folder is not None]
        broken = [file for file in files if str(file) in line and not _is_whole(file)]
        return f"; {made_again(broken[0].parent)}" if broken else ""

    def _leave(self) -> None:
        shutil.rmtree(self.folder / f"work.{self.lease.number}", ignore_errors=True)
        self.lease.release()


def clear(folder: Path) -> None:
    """Remove from a finished result's folder what was needed to make it; what refuses stays."""
    for left in contents.leftovers(folder):
        with suppress(OSError):
            contents.discard(left)


def _write_failure(path: Path, record: dict[str, Any], run: Run) -> None:
    """Write a failure into its stage's folder; beside the run where that folder alone takes nothing."""
    try:
        disk.write_json(path, record)
    except OSError as error:
        if error.errno in disk.OF_ALL_FOLDERS:
            raise
        run.record_failure(record["signature"], record)


def _is_whole(network: Path) -> bool:
    """Whether a network's file is there and ends with the digest of all before it."""
    data = network.read_bytes() if network.is_file() else b""
    return sha256(data[:-DIGEST]).digest() == data[-DIGEST:]


def one_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else ""
    if not isinstance(error, UserError | StageFailed | Unrecorded):
        first = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return first[:LONGEST_LINE]


def _loaded(stage: str, threads: int) -> Callable[..., Any]:
    function: Callable[..., Any] = names.find("stages", stage)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    return function


def _check_result(result: Any) -> None:
    if not isinstance(result, dict) or "metrics" not in result:
        raise StageFailed("a stage returns a dict with 'metrics'")
    try:
        canonical_json(result)
    except UserError as error:
        raise StageFailed(f"the result can't be stored: {error}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
