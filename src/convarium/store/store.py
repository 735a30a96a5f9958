"""The folder in which a stage's result lives at its signature."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import BudgetNotReachable, UserError
from convarium.planning.plan import Node
from convarium.store import disk, result_record
from convarium.store.result_folder import RECORD_FILE, ResultFolder
from convarium.store.signature import SIGNATURE_LENGTH

STORE_FORMAT = 2
RESULT_FOLDER_PATTERN = re.compile(rf".*-([0-9a-f]{{{SIGNATURE_LENGTH}}})")
PROBE_BYTES = 1 << 16
MTIME_RESOLUTION_NS = 2_000_000_000  # nanoseconds; file systems tell times by seconds at worst

ANY_RUN = "*"

Json = dict[str, Any]


class Store:
    """Finds results by signature; `<root>/<stage>/<name>-<signature>/done.json` is a finished one.

    What can't be read takes nothing else with it: it counts as not there, and `unreadable` says why.

    Attributes:
        unreadable: by signature, or by the name of a folder of many: a record that is damaged (UserError) or refused
            by the disk (OSError).

    Raises:
        UserError: `root` is not a folder, was made by another format of the store, or by somebody else.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._folders: dict[str, Path] = {}
        self._stage_mtimes_ns: dict[str, int] = {}
        self._records: dict[str, Json] = {}
        self.unreadable: dict[str, UserError | OSError] = {}
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
        """Whether there is a folder that a store was made in."""
        return (self.root / "store.json").is_file()

    def require(self, read_only: bool = False) -> "Store":
        """Return this store, refuse one that is not there; only `read_only`, results alone are enough.

        Raises:
            UserError: there is no folder, or one that is not a store.
        """
        if not self.is_created and not (read_only and any(self.read_records())):
            raise UserError(f"{self.root} is not a store: it has no store.json")
        return self

    def prepare(self) -> None:
        """Create the store where it is missing, and write as much as a result's record needs, as a try.

        Raises:
            UserError: the disk is full or refuses to be written to.
        """
        with disk.translate_write_errors(self.root):
            disk.make_folder(self.root)
            disk.publish_json(self.root / "store.json", {"format": STORE_FORMAT})
            probe = self.root / f".probe.{uuid4().hex}"
            try:
                probe.write_bytes(bytes(PROBE_BYTES))
                disk.sync_file(probe)
            finally:
                probe.unlink(missing_ok=True)

    def folder_of(self, node: Node) -> Path:
        """Return the folder of a node, there or not; a result stored under another readable name keeps its folder."""
        if node.signature not in self._folders and not self._stage_mtimes_ns:
            self._scan()
        own = self.root / sanitize_name(node.stage) / f"{sanitize_name(node.name)}-{node.signature}"
        return self._folders.get(node.signature, own)

    def find_folder(self, signature: str) -> Path | None:
        """Return the folder of a signature, None if there is none."""
        if signature not in self._folders:
            self._scan()
        return self._folders.get(signature)

    def find_record(self, signature: str) -> Json | None:
        """Return the record of a finished result, None if it is not there."""
        return self._find_known_record(signature) or (
            self._find_known_record(signature) if self.find_folder(signature) else None
        )

    def walk_chain(self, signature: str) -> Iterator[Json]:
        """Yield the record at a signature and those of its first parents, last first, as far as they are stored."""
        record = self.find_record(signature)
        while record is not None:
            yield record
            record = self.find_record(record["parents"][0]) if record["parents"] else None

    def find_failure(self, signature: str) -> Json | None:
        """Return the record of the last failure of a result that is not there, or can't be read."""
        folder = self.find_folder(signature)
        if folder is None or self.find_record(signature):
            return None
        return self._list_unreadable_failures().get(signature) or _read_failure(folder)

    def select_finished(self, signatures: Iterable[str]) -> set[str]:
        """Return those of many signatures that are done; looks through the store once."""
        self._scan()
        return {signature for signature in signatures if self._find_known_record(signature)}

    def find_failures(self, signatures: Iterable[str], run_id: str) -> dict[str, Json]:
        """Return the failures that a run recorded for some of many signatures; looks through the store once.

        What can't be reached stays so: it counts whichever run found out. So does what can't be read.
        """
        self._scan()
        asked = set(signatures)
        found = {signature: _read_failure(self._folders[signature]) for signature in asked & self._folders.keys()}
        remembered = {
            signature: failure
            for signature, failure in found.items()
            if failure and (failure.get("run") in (run_id, ANY_RUN) or failure.get("kind") == BudgetNotReachable.kind)
        }
        others = self._list_unreadable_failures() | self._read_run_failures(run_id)
        return remembered | {signature: others[signature] for signature in asked & others.keys()}

    def resolve_signature(self, prefix: str) -> str:
        """Return the one signature that starts with `prefix`.

        Raises:
            UserError: there is none, or more than one, or its record can't be read, or `prefix` is empty.
        """
        if not prefix:
            raise UserError("a signature is expected, not an empty text")
        self._scan()
        found = sorted(signature for signature in self._folders if signature.startswith(prefix))
        if not found:
            raise UserError(f"nothing in the store {self.root} has a signature that starts with '{prefix}'")
        if len(found) > 1:
            raise UserError(
                f"'{prefix}' is short for {len(found)} signatures: {', '.join(found[:5])}; write more of it"
            )
        if self.find_record(found[0]) is None and found[0] in self.unreadable:
            raise UserError(disk.format_error(self.unreadable[found[0]]))
        return found[0]

    def read_records(self, stage: str | None = None) -> Iterator[Json]:
        """Yield the records of all finished results (of a stage), ordered by folder."""
        with disk.pause_gc():
            folders = self.list_folders()
            wanted = [one for one, folder in folders if stage is None or folder.parent.name == sanitize_name(stage)]
            found = [self.find_record(signature) for signature in wanted]
        yield from (done for done in found if done is not None)

    def list_folders(self) -> list[tuple[str, Path]]:
        """Return every signature that has a folder, done or not, and the folder, ordered by folder."""
        self._scan()
        return sorted(self._folders.items(), key=lambda item: str(item[1]))

    @contextmanager
    def record_unreadable(self, name: str) -> Iterator[None]:
        """Keep what can't be read from stopping who reads on; `unreadable` tells it for as long as it lasts."""
        self.unreadable.pop(name, None)
        try:
            yield
        except (UserError, OSError) as error:
            self.unreadable[name] = error

    def _find_known_record(self, signature: str) -> Json | None:
        if signature not in self._records and signature in self._folders:
            with self.record_unreadable(signature):
                done = result_record.read_record(self._folders[signature])
                if done is not None:
                    self._records[signature] = done
        return self._records.get(signature)

    def _scan(self) -> None:
        """Read the folders whose time of change differs, or is too near to tell a later change by."""
        if not self.root.is_dir():
            return
        for stage in list(os.scandir(self.root)):
            with self.record_unreadable(stage.name):
                changed = stage.stat().st_mtime_ns if stage.is_dir() else None
                if changed is not None and self._stage_mtimes_ns.get(stage.name) != changed:
                    self._scan_stage(stage.name)
                    self._stage_mtimes_ns[stage.name] = changed if time.time_ns() - changed > MTIME_RESOLUTION_NS else 0

    def _scan_stage(self, stage: str) -> None:
        place = self.root / stage
        for name in sorted(os.listdir(place)):
            match = RESULT_FOLDER_PATTERN.fullmatch(name)
            known = self._folders.get(match[1]) if match else None
            if match and (known is None or (known.name != name and os.path.exists(place / name / RECORD_FILE))):  # noqa: PTH110, raises nothing
                self._folders[match[1]] = place / name

    def _list_unreadable_failures(self) -> dict[str, Json]:
        """Return the results that can't be read as failures."""
        return {
            name: _build_unreadable_failure(error) for name, error in self.unreadable.items() if name in self._folders
        }

    def _read_run_failures(self, run_id: str) -> dict[str, Json]:
        """Return the failures of a run whose stages' own folders take nothing."""
        files = (self.root / "runs" / run_id).glob("failed.*.json") if run_id else ()
        found = {file.name.split(".")[1]: disk.read_json_object(file, {"error": str}) for file in files}
        return {signature: failure for signature, failure in found.items() if failure}


def _read_failure(folder: Path) -> Json | None:
    """Return the record of a failure; where that can't be read, this is one."""
    try:
        return disk.read_json_object(ResultFolder(folder).failure, {"error": str})
    except UserError as error:
        return _build_unreadable_failure(UserError(f"{error}; remove the file"))
    except OSError as error:
        return _build_unreadable_failure(error)


def _build_unreadable_failure(error: UserError | OSError) -> Json:
    """Return the failure that something can't be read is; what is damaged is the user's to mend."""
    return {"error": disk.format_error(error), "mistake": isinstance(error, UserError), "kind": None, "run": ANY_RUN}


def sanitize_name(text: str) -> str:
    """Return a text as it stands in a folder's name."""
    return re.sub(r"[^\w.=+-]", "_", text)[:100]
