"""The folder in which a stage's result lives at its signature."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import NotReachable, UserError
from convarium.store import disk, record
from convarium.store.plan import Node
from convarium.store.signature import LENGTH

FORMAT = 2
RESULT = re.compile(rf".*-([0-9a-f]{{{LENGTH}}})")
PROBE_BYTES = 1 << 16
CLOCK_TICK = 2_000_000_000  # nanoseconds; file systems tell times by seconds at worst

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
        self._seen: dict[str, int] = {}
        self._done: dict[str, Json] = {}
        self.unreadable: dict[str, UserError | OSError] = {}
        for link in (self.root, *self.root.parents):
            if link.is_symlink() and not link.exists():
                raise UserError(f"the store {self.root}: {link} is a link to {link.readlink()}, which is not there")
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"the store {self.root} is not a folder")
        header = disk.read_object(self.root / "store.json", {"format": int})
        if header is not None and header["format"] != FORMAT:
            raise UserError(
                f"the store {self.root} has format {header['format']}, this version reads {FORMAT}:"
                " set another runtime.store, or move that folder away"
            )
        if header is not None and len(header) > 1:
            raise UserError(
                f"{self.root} is not a store: its store.json holds more than a format, it is somebody else's"
            )

    @property
    def is_there(self) -> bool:
        """Whether there is a folder that a store was made in."""
        return (self.root / "store.json").is_file()

    def require(self, to_look: bool = False) -> "Store":
        """Return this store, refuse one that is not there; only `to_look`, results alone are enough.

        Raises:
            UserError: there is no folder, or one that is not a store.
        """
        if not self.is_there and not (to_look and any(self.results())):
            raise UserError(f"{self.root} is not a store: it has no store.json")
        return self

    def prepare(self) -> None:
        """Create the store where it is missing, and write as much as a result's record needs, as a try.

        Raises:
            UserError: the disk is full or refuses to be written to.
        """
        with disk.mistakes(self.root):
            disk.make_folder(self.root)
            disk.publish_json(self.root / "store.json", {"format": FORMAT})
            probe = self.root / f".probe.{uuid4().hex}"
            try:
                probe.write_bytes(bytes(PROBE_BYTES))
                disk.sync_file(probe)
            finally:
                probe.unlink(missing_ok=True)

    def folder(self, node: Node) -> Path:
        """Return the folder of a node, there or not; a result stored under another readable name keeps its folder."""
        if node.signature not in self._folders and not self._seen:
            self._scan()
        own = self.root / word(node.stage) / f"{word(node.name)}-{node.signature}"
        return self._folders.get(node.signature, own)

    def path(self, signature: str) -> Path | None:
        """Return the folder of a signature, None if there is none."""
        if signature not in self._folders:
            self._scan()
        return self._folders.get(signature)

    def done(self, signature: str) -> Json | None:
        """Return the record of a finished result, None if it is not there."""
        return self._known(signature) or (self._known(signature) if self.path(signature) else None)

    def failed(self, signature: str) -> Json | None:
        """Return the record of the last failure of a result that is not there, or can't be read."""
        folder = self.path(signature)
        if folder is None or self.done(signature):
            return None
        return self._refused().get(signature) or _failure(folder)

    def finished(self, signatures: Iterable[str]) -> set[str]:
        """Return those of many signatures that are done; looks through the store once."""
        self._scan()
        return {signature for signature in signatures if self._known(signature)}

    def failures(self, signatures: Iterable[str], run: str) -> dict[str, Json]:
        """Return the failures that a run recorded for some of many signatures; looks through the store once.

        What can't be reached stays so: it counts whichever run found out. So does what can't be read.
        """
        self._scan()
        asked = set(signatures)
        found = {signature: _failure(self._folders[signature]) for signature in asked & self._folders.keys()}
        remembered = {
            signature: failure
            for signature, failure in found.items()
            if failure and (failure.get("run") in (run, ANY_RUN) or failure.get("kind") == NotReachable.kind)
        }
        others = self._refused() | self._outside(run)
        return remembered | {signature: others[signature] for signature in asked & others.keys()}

    def resolve(self, prefix: str) -> str:
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
        if self.done(found[0]) is None and found[0] in self.unreadable:
            raise UserError(disk.told(self.unreadable[found[0]]))
        return found[0]

    def results(self, stage: str | None = None) -> Iterator[Json]:
        """Yield the records of all finished results (of a stage), ordered by folder."""
        with disk.uncollected():
            folders = self.folders()
            wanted = [one for one, folder in folders if stage is None or folder.parent.name == word(stage)]
            found = [self.done(signature) for signature in wanted]
        yield from (done for done in found if done is not None)

    def folders(self) -> list[tuple[str, Path]]:
        """Return every signature that has a folder, done or not, and the folder, ordered by folder."""
        self._scan()
        return sorted(self._folders.items(), key=lambda item: str(item[1]))

    @contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Keep what can't be read from stopping who reads on; `unreadable` tells it for as long as it lasts."""
        self.unreadable.pop(name, None)
        try:
            yield
        except (UserError, OSError) as error:
            self.unreadable[name] = error

    def _known(self, signature: str) -> Json | None:
        if signature not in self._done and signature in self._folders:
            with self.leaving_out(signature):
                done = record.read(self._folders[signature])
                if done is not None:
                    self._done[signature] = done
        return self._done.get(signature)

    def _scan(self) -> None:
        """Read the folders whose time of change differs, or is too near to tell a later change by."""
        if not self.root.is_dir():
            return
        for stage in list(os.scandir(self.root)):
            with self.leaving_out(stage.name):
                changed = stage.stat().st_mtime_ns if stage.is_dir() else None
                if changed is not None and self._seen.get(stage.name) != changed:
                    self._read(stage.name)
                    self._seen[stage.name] = changed if time.time_ns() - changed > CLOCK_TICK else 0

    def _read(self, stage: str) -> None:
        place = self.root / stage
        for name in sorted(os.listdir(place)):
            match = RESULT.fullmatch(name)
            known = self._folders.get(match[1]) if match else None
            if match and (known is None or (known.name != name and os.path.exists(place / name / "done.json"))):  # noqa: PTH110, raises nothing
                self._folders[match[1]] = place / name

    def _refused(self) -> dict[str, Json]:
        """Return the results that can't be read as failures."""
        return {name: _unread(error) for name, error in self.unreadable.items() if name in self._folders}

    def _outside(self, run: str) -> dict[str, Json]:
        """Return the failures of a run whose stages' own folders take nothing."""
        files = (self.root / "runs" / run).glob("failed.*.json") if run else ()
        found = {file.name.split(".")[1]: disk.read_object(file, {"error": str}) for file in files}
        return {signature: failure for signature, failure in found.items() if failure}


def _failure(folder: Path) -> Json | None:
    """Return the record of a failure; where that can't be read, this is one."""
    try:
        return disk.read_object(folder / "failed.json", {"error": str})
    except UserError as error:
        return _unread(UserError(f"{error}; remove the file"))
    except OSError as error:
        return _unread(error)


def _unread(error: UserError | OSError) -> Json:
    """Return the failure that something can't be read is; what is damaged is the user's to mend."""
    return {"error": disk.told(error), "mistake": isinstance(error, UserError), "kind": None, "run": ANY_RUN}


def word(text: str) -> str:
    """Return a text as it stands in a folder's name."""
    return re.sub(r"[^\w.=+-]", "_", text)[:100]
