"""A command that is disturbed and typed again, what is at work in its store, and what that holds: for `faults.py`."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from convarium.store.result_folder import ResultFolder
from convarium.workers.lease import LeaseManager

# What may differ: how long it took, where, and by how many attempts.
UNCOMPARED_FILES = ("done.json", "log.txt", "curves.jsonl")

ATTEMPT_PATTERN = re.compile(r"^# (\S+) attempt \d+ begins on (\S+, process \d+)", re.MULTILINE)
MAX_RUNS = 2

Mark = tuple[tuple[str, int, int], ...]  # the checkpoints of a stage: name, inode and time of change


class DisturbedSweep:
    """One command line, as often as it takes.

    Args:
        folder: in which it is typed; its output goes to a file there.
        command: its last word ends with the store, which is added.

    Attributes:
        process: the command as it runs now.
        typed_count: how often it was typed.
        exit_codes: of those that have ended.
    """

    def __init__(self, folder: Path, store: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.store = store
        self._folder = folder
        self._command = [*command[:-1], f"{command[-1]}{store}"]
        self._environment = {**os.environ, **environment}
        self._leases = LeaseManager("")
        self.exit_codes: list[int] = []
        self.typed_count = 0
        self.process = self._type()

    @property
    def is_done(self) -> bool:
        """Whether the command as it was typed last has ended well."""
        return self.process.poll() == 0

    def type_again(self) -> None:
        """Type the command again where it was killed, or says that something is missing."""
        if self.process.poll():
            self.exit_codes.append(self.process.returncode)
            self.process = self._type()

    def find_stages_at_work(self) -> list[Path]:
        """Return the folders of the stages that a living worker has begun, and that are not stored."""
        return [folder for folder in self.store.glob("*/*") if self._is_at_work(folder)]

    def _is_at_work(self, folder: Path) -> bool:
        if (folder / "done.json").exists():
            return False
        lease = self._leases.read(folder)
        if lease is None or lease.state != "alive":
            return False
        return f"attempt {lease.number + 1} begins on " in _read_log(folder)

    def _type(self) -> "subprocess.Popen[bytes]":
        self.typed_count += 1
        with (self._folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )


def read_mark(folder: Path) -> Mark:
    """Return what tells a stage's checkpoints from later ones."""
    marks: list[tuple[str, int, int]] = []
    for path in ResultFolder(folder).checkpoints.glob("*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            marks.append((path.name, status.st_ino, status.st_mtime_ns))
    return tuple(sorted(marks))


class StageWatch:
    """Looks at the stages of a store: who brings them further, and how often each was begun since its last checkpoint.

    Attributes:
        workers: who has brought a stage further, to another checkpoint or to its end, since `forget_workers`.
        begun_count: how often stages were begun.
        stage_count: how many stages were begun.
        too_often: the names of those that were begun more than MAX_RUNS times between two checkpoints.
        looked_at, over_at: when stages were looked for that the last fault may meet, and when it was over, in seconds
            since 1970. A stage that was begun a second time in between nobody could spare.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._marks: dict[Path, Mark | None] = {}  # None once a stage is stored
        self._begun_before: dict[Path, int] = {}  # attempts before the one that wrote the last checkpoint
        self._begun: dict[Path, int] = {}
        self.workers: set[str] = set()
        self.too_often: set[str] = set()
        self.looked_at = self.over_at = 0.0

    @property
    def begun_count(self) -> int:
        """How often stages were begun."""
        return sum(self._begun.values())

    @property
    def stage_count(self) -> int:
        """How many stages were begun."""
        return len(self._begun)

    def has_second_run(self, folders: Iterable[Path]) -> bool:
        """Whether one of these stages was begun again and has not written a checkpoint since.

        Another fault now would have it run a third time, whoever is to blame.
        """
        self.look()
        return any(self._count_runs(folder) >= MAX_RUNS for folder in folders)

    def forget_workers(self) -> None:
        """Count anew who brings stages further."""
        self.look()
        self.workers = set()

    def look(self) -> None:
        """Look at all stages that are not stored yet."""
        for log in self._store.glob("*/*/log.txt"):
            if self._marks.get(log.parent, ()) is not None:
                self._look_at(log.parent)

    def _look_at(self, folder: Path) -> None:
        mark = None if (folder / "done.json").exists() else read_mark(folder)
        attempts = ATTEMPT_PATTERN.findall(_read_log(folder))
        if mark != self._marks.get(folder, ()) and attempts:
            self._begun_before[folder] = len(attempts) - 1
            self.workers.add(attempts[-1][1])
        self._marks[folder] = mark
        self._begun[folder] = len(attempts)
        if self._count_runs(folder) > MAX_RUNS and not self._is_begun_in_fault(attempts[-2][0]):
            self.too_often.add(folder.name)

    def _is_begun_in_fault(self, began_at: str) -> bool:
        # The log tells whole seconds.
        return int(self.looked_at) <= datetime.fromisoformat(began_at).timestamp() <= self.over_at

    def _count_runs(self, folder: Path) -> int:
        """Return how often a stage was begun since the checkpoint before its last attempt's."""
        return self._begun.get(folder, 0) - self._begun_before.get(folder, 0)


def read_contents(store: Path) -> dict[str, str]:
    """Return the digest of each stage's files and figures, by its folder."""
    contents = {}
    for record in store.glob("*/*/done.json"):
        files = sorted(path for path in record.parent.iterdir() if path.name not in UNCOMPARED_FILES and path.is_file())
        digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in files}
        result = json.loads(record.read_text())["result"]
        contents[f"{record.parent.parent.name}/{record.parent.name}"] = json.dumps([digests, result], sort_keys=True)
    return contents


def _read_log(folder: Path) -> str:
    try:
        return ResultFolder(folder).log.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def find_processes(program: str, *words: str) -> list[int]:
    """Return the processes of a program below this one whose command line holds all words.

    Slurm's jobs are below it as well.
    """
    lines = _list_descendants(os.getpid())
    return [pid for pid, line in lines if line.startswith(program) and all(word in line for word in words)]


def _list_descendants(pid: int) -> Iterator[tuple[int, str]]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                with suppress(OSError):
                    yield (
                        child,
                        Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
                    )
                yield from _list_descendants(child)
