"""What `inspect` looks at: an architecture of a command line, a stored network, or a network's file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import places
from convarium.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from convarium.catalogue.rows import Row
    from convarium.compression.file.container import File

Json = dict[str, Any]
SIGNATURE = re.compile(r"[0-9a-f]{1,12}")


@dataclass(frozen=True)
class Stored:
    """A trained network.

    Attributes:
        path: its `.cvm` file.
        signature: of the stage that made it; None of a file that was named by its path.
        allow: outside packages that the file may name.
        config: says where things lie; of a file, also whose images it is for, if a dataset was typed.
    """

    file: "File"
    path: Path
    signature: str | None
    allow: tuple[str, ...]
    config: Json


@dataclass(frozen=True)
class Subject:
    """A network, on the meta device unless it is a stored one.

    Attributes:
        architecture: what it is built from, complete.
        input: why its images and classes are what they are, for a person to read.
        option: the file of conf/architecture that names it.
        row: of the catalogue.
        changed: the overrides by which it is not the row's network any more.
    """

    network: "nn.Module"
    architecture: Json
    shape: tuple[int, ...]
    input: str
    option: str | None = None
    row: "Row | None" = None
    changed: tuple[str, ...] = ()
    stored: Stored | None = field(default=None, repr=False)


def subject(word: str | None, overrides: Sequence[str]) -> Subject:
    """Return what a command line names: by a `word` (a signature or a file), else by `architecture=…`.

    Raises:
        UserError: nothing, more than one network, or none that can be built, found or read.
    """
    if word is None:
        return _architecture(overrides)
    if Path(word).is_file() or Path(word).suffix or "/" in word:
        return _of(_file(Path(word), overrides))
    if not SIGNATURE.fullmatch(word):
        raise UserError(f"{word} is no signature and no file; a network by its name is architecture={word}")
    return _of(_signature(word, overrides))


def _architecture(overrides: Sequence[str]) -> Subject:
    from convarium.architectures import library
    from convarium.cli.points import ask
    from convarium.names import allowing, packages

    if not any(text.startswith("architecture=") for text in overrides):
        raise UserError("convarium inspect: which network? write architecture=NAME, a signature, or a .cvm file")
    point, *others = ask(overrides).accepted()
    if others:
        raise UserError(f"inspect takes one network, not {len(others) + 1}")
    if point.config["compression"]:
        raise UserError("inspect shows a network before compression, or a stored one: leave out compression=…")
    told = {key: value for key, value in point.config["architecture"].items() if key not in ("weights", "pretrained")}
    option = next(text for text in point.overrides if text.startswith("architecture=")).partition("=")[2]
    found = _named(told, option, overrides, point.config["dataset"])
    with allowing(packages(point.config)):
        return replace(found, network=library.trial(found.architecture))


def _named(architecture: Json, option: str, overrides: Sequence[str], dataset: Mapping[str, Any]) -> Subject:
    """Return an architecture for its dataset's images, or where none is typed for those of the paper that is known."""
    from torch import nn

    from convarium.catalogue.networks import images_of, row_of

    row, why = row_of(option), f"of dataset={dataset['name']}"
    if row is not None and not any(text.startswith("dataset") for text in overrides):
        images, why = images_of(row), "of its paper; dataset=NAME takes another's"
        architecture = {
            **architecture, "in_chans": images.channels, "num_classes": images.classes, "img_size": images.side,
        }  # fmt: skip
    side, changed = architecture["img_size"], tuple(text for text in overrides if text.startswith("architecture."))
    shape = (architecture["in_chans"], side, side)
    return Subject(nn.Identity(), architecture, shape, why, option, row, changed)


def _of(stored: Stored) -> Subject:
    from convarium.compression.file import container

    header = stored.file.header
    return Subject(
        container.network(stored.file), header["architecture"], tuple(header["input"]["shape"]), "of its file",
        stored=stored,
    )  # fmt: skip


def _file(path: Path, overrides: Sequence[str]) -> Stored:
    from convarium.cli.points import ask
    from convarium.compression.file import container
    from convarium.names import allowing, packages

    config = ask(overrides).accepted()[0].config
    allow = tuple(sorted(packages(config)))
    with allowing(allow):
        return Stored(container.read(path, allow), path, None, allow, config)


def _signature(prefix: str, overrides: Sequence[str]) -> Stored:
    from convarium.cli.parity import given
    from convarium.cli.stored import store_of
    from convarium.compression.file import container
    from convarium.portable.origin import find

    config = given(overrides, "inspect")
    origin = find(store_of(config["runtime"]), prefix)
    return Stored(container.read(origin.path, origin.allow), origin.path, origin.signature, origin.allow, config)


def file_of(option: str) -> str:
    """Return the file of conf/architecture that has a name, as a user's folder or ours has it."""
    return next(
        str(path.relative_to(root.parent))
        for root in places.folders("conf")
        if (path := root / "architecture" / f"{option}.yaml").is_file()
    )
