"""The store: find results, their records and failures by signature."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import BudgetNotReachable, UserError
from convarium.pause import compute_pause
from convarium.planning.plan import Node
from convarium.store import disk, result_record
from convarium.store.result_folder import RECORD_FILE, ResultFolder
from convarium.store.signature import SIGNATURE_LENGTH

STORE_FORMAT = 2
RESULT_FOLDER_PATTERN = re.compile(rf".*-([0-9a-f]{{{SIGNATURE_LENGTH}}})")
PROBE_BYTES = 1 << 16  # about as much as the record of a result takes
MTIME_RESOLUTION_SECONDS = 2.0  # that of FAT; most file systems have finer times of change
OTHER_FOLDERS = frozenset({"plans", "runs", "searches", "checks"})  # of the root: they hold no results

ANY_RUN = "*"  # the run of a failure that holds for every run

Json = dict[str, Any]


@dataclass
class StageScan:
    """The last listing of a stage's folder.

    Attributes:
        mtime_ns: the folder's time of change before it was listed.
        first_seen: when this process first saw that time, on its own monotonic clock.
        pauses_until: before that the folder is listed again only if its time has changed.
        is_settled: whether the folder was listed once more after it could not have changed unseen.
    """

    mtime_ns: int
    first_seen: float
    pauses_until: float
    is_settled: bool = False


class Store:
    """A folder of results; `<root>/<stage>/<name>-<signature>/done.json` is the record of a finished one.

    A record that can't be read counts as missing and affects no other; `unreadable` holds the reason.

    Attributes:
        unreadable: why a record can't be read, by its signature, or why a whole stage's folder can't, by its name:
            UserError if it is damaged, OSError if the disk refuses.

    Raises:
        UserError: `root` is not a folder, holds a store of another format, or a store.json of another program.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._folders: dict[str, Path] = {}
        self._stage_scans: dict[str, StageScan] = {}
        self._records: dict[str, Json] = {}
        self.unreadable: dict[str, UserError | OSError] = {}
        # Behind a link that leads nowhere, the store would look like one that is only not created yet.
        for link in (self.root, *self.root.parents):
            if link.is_symlink() and not link.exists():
                raise UserError(f"the store {self.root}: {link} is a link to {link.readlink()}, which is not there")
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"the store {self.root} is not a folder")
        header = disk.read_json_object(self.root / "store.json", {"format": int})
        if header is not None and header["format"] != STORE_FORMAT:
            raise UserError(
                f"the store {self.root} has format {header['format']}, this version reads {STORE_FORMAT}:"
                " set another runtime.store, or move that folder away"
            )
        if header is not None and len(header) > 1:
            raise UserError(
                f"{self.root} is not a store: its store.json holds more than a format, it is somebody else's"
            )

    @property
    def is_created(self) -> bool:
        """Whether `root` was prepared as a store."""
        return (self.root / "store.json").is_file()

    def require(self, read_only: bool = False) -> "Store":
        """Return this store if it exists.

        Args:
            read_only: also accept a folder without store.json that holds results, such as a copy of some.

        Raises:
            UserError: there is no folder, or one that is not a store.
        """
        if self.is_created:
            return self
        if read_only and any(self.read_records()):
            return self
        raise UserError(f"{self.root} is not a store: it has no store.json")

    def prepare(self) -> None:
        """Create the store where it is missing, and check with a trial file that a result's record could be written.

        Raises:
            UserError: the disk is full or refuses to be written to.
        """
        with disk.translate_write_errors(self.root):
            disk.make_folder(self.root)
            disk.require_hard_links(self.root)
            disk.publish_json(self.root / "store.json", {"format": STORE_FORMAT})
            probe = self.root / f".probe.{uuid4().hex}"
            try:
                probe.write_bytes(bytes(PROBE_BYTES))
                disk.sync_file(probe)
            finally:
                probe.unlink(missing_ok=True)

    def folder_of(self, node: Node) -> Path:
        """Return the folder of a node, whether it exists or not.

        A result that is stored under another readable name (the signature counts, not the name) keeps its folder.
        """
        if node.signature not in self._folders and not self._stage_scans:
            self._scan()
        default_folder = self.root / sanitize_name(node.stage) / f"{sanitize_name(node.name)}-{node.signature}"
        return self._folders.get(node.signature, default_folder)

    def find_folder(self, signature: str) -> Path | None:
        """Return the folder of a signature, None if none exists."""
        if signature not in self._folders:
            self._scan()
        return self._folders.get(signature)

    def note_folder(self, signature: str, folder: Path) -> None:
        """Note where a result lies that this process has made itself, so that nobody scans the store for it."""
        self._folders[signature] = folder

    def find_record(self, signature: str) -> Json | None:
        """Return the record of a finished result, None if it is missing or can't be read."""
        record = self._find_scanned_record(signature)
        if record is None and self.find_folder(signature) is not None:
            record = self._find_scanned_record(signature)
        return record

    def walk_chain(self, signature: str) -> Iterator[Json]:
        """Yield the record at a signature, then that of its first parent and so on, as far as they are stored."""
        record = self.find_record(signature)
        while record is not None:
            yield record
            parents = record["parents"]
            record = self.find_record(parents[0]) if parents else None

    def find_failure(self, signature: str) -> Json | None:
        """Return the record of the last failure of a result that is missing or can't be read, None if there is none."""
        folder = self.find_folder(signature)
        if folder is None or self.find_record(signature):
            return None
        return self._list_unreadable_failures().get(signature) or _read_failure(folder)

    def select_finished(self, signatures: Iterable[str]) -> set[str]:
        """Return those of many signatures that have a finished result; the store is scanned only once."""
        self._scan()
        return {signature for signature in signatures if self._find_scanned_record(signature)}

    def find_failures(self, signatures: Iterable[str], run_id: str) -> dict[str, Json]:
        """Return, by signature, the failures that hold for a run; the store is scanned only once.

        They are those that this run recorded, and, whichever run found them, budgets that can't be reached and
        results that can't be read.
        """
        self._scan()
        wanted_signatures = set(signatures)
        failures: dict[str, Json] = {}
        # Sorted, so that all processes read in the same order: a seed of the random schedules means one schedule.
        for signature in sorted(wanted_signatures & self._folders.keys()):
            failure = _read_failure(self._folders[signature])
            if failure is not None and _holds_for_run(failure, run_id):
                failures[signature] = failure
        other_failures = self._list_unreadable_failures() | self._read_run_failures(run_id)
        for signature in wanted_signatures & other_failures.keys():
            failures[signature] = other_failures[signature]
        return failures

    def find_failure_of_run(self, signature: str, run_id: str) -> Json | None:
        """Return the failure, of a result whose folder is known, that holds for a run; the store is not scanned."""
        failure = _read_failure(self._folders[signature])
        if failure is not None and _holds_for_run(failure, run_id):
            return failure
        return self._read_run_failures(run_id, signature).get(signature)

    def resolve_signature(self, prefix: str) -> str:
        """Return the one signature that starts with `prefix`.

        Raises:
            UserError: there is none, or more than one, or its record can't be read, or `prefix` is empty.
        """
        if not prefix:
            raise UserError("a signature is expected, not an empty text")
        self._scan()
        matches = sorted(signature for signature in self._folders if signature.startswith(prefix))
        if not matches:
            raise UserError(f"nothing in the store {self.root} has a signature that starts with '{prefix}'")
        if len(matches) > 1:
            first_matches = ", ".join(matches[:5])
            raise UserError(f"'{prefix}' is short for {len(matches)} signatures: {first_matches}; write more of it")
        signature = matches[0]
        if self.find_record(signature) is None and signature in self.unreadable:
            raise UserError(disk.format_error(self.unreadable[signature]))
        return signature

    def read_records(self, stage: str | None = None) -> Iterator[Json]:
        """Yield the records of all finished results, or of those of one stage, ordered by folder."""
        folder_name = None if stage is None else sanitize_name(stage)
        records = []
        # All are read before the first is yielded, because the caller must not run with the collector switched off.
        with disk.pause_gc():
            for signature, folder in self.list_folders():
                if folder_name is None or folder.parent.name == folder_name:
                    records.append(self.find_record(signature))
        yield from (record for record in records if record is not None)

    def find_children(self, signature: str) -> list[Json]:
        """Return the records of the finished results that start from the one at a signature, ordered by folder."""
        quoted_signature = f'"{signature}"'.encode()
        children = []
        for child, folder in self.list_folders():
            # Most records don't hold the signature, and to search a text is much faster than to parse it.
            if child in self._records or _is_text_in_file(quoted_signature, folder / RECORD_FILE):
                record = self.find_record(child)
                if record is not None and signature in record["parents"]:
                    children.append(record)
        return children

    def list_folders(self) -> list[tuple[str, Path]]:
        """Return every signature that has a folder, finished or not, with the folder, ordered by folder."""
        self._scan()
        return sorted(self._folders.items(), key=lambda item: str(item[1]))

    @contextmanager
    def record_unreadable(self, name: str) -> Iterator[None]:
        """Catch the error of something that can't be read and keep it in `unreadable[name]` until it can be read."""
        self.unreadable.pop(name, None)
        try:
            yield
        except (UserError, OSError) as error:
            self.unreadable[name] = error

    def _find_scanned_record(self, signature: str) -> Json | None:
        """Return the record of a signature whose folder the last scan saw; a record never changes, so it is kept."""
        if signature not in self._records and signature in self._folders:
            with self.record_unreadable(signature):
                record = result_record.read_record(self._folders[signature])
                if record is not None:
                    self._records[signature] = record
        return self._records.get(signature)

    def _scan(self) -> None:
        """Update the map of folders: read those of the stages whose time of change differs from the last scan."""
        if not self.root.is_dir():
            return
        for entry in list(os.scandir(self.root)):
            with self.record_unreadable(entry.name):
                if entry.name in OTHER_FOLDERS or entry.name.startswith(".") or not entry.is_dir():
                    continue
                mtime_ns = entry.stat().st_mtime_ns
                scan = self._stage_scans.get(entry.name)
                start = time.monotonic()
                if scan is None or scan.mtime_ns != mtime_ns:
                    self._scan_stage(entry.name)
                    end = time.monotonic()
                    self._stage_scans[entry.name] = StageScan(mtime_ns, end, end + compute_pause(end - start))
                elif not scan.is_settled and start >= scan.pauses_until:
                    # A change within the resolution leaves the same time. No clock is compared with that of the disk,
                    # which may be another host's: how long this process has seen the same time counts.
                    scan.is_settled = start - scan.first_seen > MTIME_RESOLUTION_SECONDS
                    self._scan_stage(entry.name)
                    end = time.monotonic()
                    scan.pauses_until = end + compute_pause(end - start)

    def _scan_stage(self, stage: str) -> None:
        stage_folder = self.root / stage
        for name in sorted(os.listdir(stage_folder)):
            match = RESULT_FOLDER_PATTERN.fullmatch(name)
            if match is None:
                continue
            signature = match[1]
            folder = stage_folder / name
            known_folder = self._folders.get(signature)
            if known_folder is not None:
                # Of two folders with one signature (the readable name has changed) the finished one counts.
                is_better = known_folder.name != name and os.path.exists(folder / RECORD_FILE)  # noqa: PTH110, raises nothing
                if not is_better:
                    continue
            self._folders[signature] = folder

    def _list_unreadable_failures(self) -> dict[str, Json]:
        """Return, by signature, a failure for each result that can't be read."""
        return {
            name: _build_unreadable_failure(error) for name, error in self.unreadable.items() if name in self._folders
        }

    def _read_run_failures(self, run_id: str, pattern: str = "*") -> dict[str, Json]:
        """Return, by signature, the failures that a run could not write into the stages' own folders."""
        if not run_id:
            return {}
        failures: dict[str, Json] = {}
        for file in (self.root / "runs" / run_id).glob(f"failed.{pattern}.json"):
            signature = file.name.split(".")[1]
            failure = disk.read_json_object(file, {"error": str})
            if failure is not None:
                failures[signature] = failure
        return failures


def _is_text_in_file(text: bytes, file: Path) -> bool:
    try:
        return text in file.read_bytes()
    except OSError:
        return False


def _holds_for_run(failure: Json, run_id: str) -> bool:
    # A failure of another run may have a cause that is gone by now, but a budget stays out of reach.
    return failure.get("run") in (run_id, ANY_RUN) or failure.get("kind") == BudgetNotReachable.kind


def _read_failure(folder: Path) -> Json | None:
    """Return the record of a failure, None if there is none; a record that can't be read counts as a failure."""
    try:
        return disk.read_json_object(ResultFolder(folder).failure, {"error": str})
    except UserError as error:
        return _build_unreadable_failure(UserError(f"{error}; remove the file"))
    except OSError as error:
        return _build_unreadable_failure(error)


def _build_unreadable_failure(error: UserError | OSError) -> Json:
    """Return the failure that an unreadable file amounts to; a damaged file is a mistake that the user can mend."""
    return {"error": disk.format_error(error), "mistake": isinstance(error, UserError), "kind": None, "run": ANY_RUN}


def sanitize_name(text: str) -> str:
    """Return a text as part of a folder's name: other characters than letters, digits and `_.=+-` become `_`."""
    return re.sub(r"[^\w.=+-]", "_", text)[:100]  # most file systems allow 255 bytes, and the signature follows
