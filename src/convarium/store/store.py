"""The folder in which a stage's result lives at its signature."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import NotReachable, UserError
from convarium.store import disk, record
from convarium.store.plan import Node
from convarium.store.signature import LENGTH

FORMAT = 1
RESULT = re.compile(rf".*-([0-9a-f]{{{LENGTH}}})")
PROBE_BYTES = 1 << 16
CLOCK_TICK = 2_000_000_000  # nanoseconds; file systems tell times by seconds at worst

Json = dict[str, Any]


class Store:
    """Finds results by signature; `<root>/<stage>/<name>-<signature>/done.json` is a finished one.

    Raises:
        UserError: `root` is no folder, or was made by another format of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._folders: dict[str, Path] = {}
        self._seen: dict[str, int] = {}
        self._done: dict[str, Json] = {}
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"the store {self.root} is no folder")
        header = disk.read_object(self.root / "store.json", {"format": int})
        if header is not None and header["format"] != FORMAT:
            raise UserError(f"the store {self.root} has format {header['format']}, this version reads {FORMAT}")

    def require(self) -> None:
        """Refuse a store that is not there.

        Raises:
            UserError: there is no folder, or one that is no store.
        """
        if not (self.root / "store.json").is_file():
            raise UserError(f"{self.root} is no store: it has no store.json")

    def prepare(self) -> None:
        """Create the store where it is missing, and write as much as a result's record needs, as a try.

        Raises:
            UserError: the disk is full or refuses to be written to.
        """
        with disk.mistakes(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
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
        own = self.root / _word(node.stage) / f"{_word(node.name)}-{node.signature}"
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
        """Return the record of the last failure of a result that is not there."""
        folder = self.path(signature)
        return _failure(folder) if folder and not self.done(signature) else None

    def finished(self, signatures: Iterable[str]) -> set[str]:
        """Return those of many signatures that are done; looks through the store once."""
        self._scan()
        return {signature for signature in signatures if self._known(signature)}

    def failures(self, signatures: Iterable[str], run: str) -> dict[str, Json]:
        """Return the failures that a run recorded for some of many signatures; looks through the store once.

        What can't be reached stays so: it counts whichever run found out.
        """
        self._scan()
        folders = {signature: self._folders[signature] for signature in signatures if signature in self._folders}
        found = {signature: _failure(folder) for signature, folder in folders.items()}
        return {
            signature: failure
            for signature, failure in found.items()
            if failure and (failure.get("run") == run or failure.get("kind") == NotReachable.kind)
        }

    def resolve(self, prefix: str) -> str:
        """Return the one signature that starts with `prefix`.

        Raises:
            UserError: there is none, or more than one, or `prefix` is empty.
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
        return found[0]

    def results(self, stage: str | None = None) -> Iterator[Json]:
        """Yield the records of all finished results (of a stage), ordered by folder."""
        with disk.uncollected():
            folders = self.folders()
            wanted = [one for one, folder in folders if stage is None or folder.parent.name == _word(stage)]
            found = [self.done(signature) for signature in wanted]
        yield from (done for done in found if done is not None)

    def folders(self) -> list[tuple[str, Path]]:
        """Return every signature that has a folder, done or not, and the folder, ordered by folder."""
        self._scan()
        return sorted(self._folders.items(), key=lambda item: str(item[1]))

    def _known(self, signature: str) -> Json | None:
        if signature not in self._done and signature in self._folders:
            done = record.read(self._folders[signature])
            if done is not None:
                self._done[signature] = done
        return self._done.get(signature)

    def _scan(self) -> None:
        """Read the folders whose time of change differs, or is too near to tell a later change by."""
        if not self.root.is_dir():
            return
        for stage in [entry for entry in os.scandir(self.root) if entry.is_dir()]:
            changed = stage.stat().st_mtime_ns
            if self._seen.get(stage.name) != changed:
                self._seen[stage.name] = changed if time.time_ns() - changed > CLOCK_TICK else 0
                self._read(stage.name)

    def _read(self, stage: str) -> None:
        place = self.root / stage
        for name in sorted(os.listdir(place)):
            match = RESULT.fullmatch(name)
            known = self._folders.get(match[1]) if match else None
            if match and (known is None or (known.name != name and (place / name / "done.json").exists())):
                self._folders[match[1]] = place / name


def _failure(folder: Path) -> Json | None:
    try:
        return disk.read_object(folder / "failed.json", {"error": str})
    except UserError as error:
        raise UserError(f"{error}; remove the file") from None


def _word(text: str) -> str:
    return re.sub(r"[^\w.=+-]", "_", text)[:100]
