"""What `inspect` looks at: an architecture of a command line, a stored network, or a network's file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import places
from convarium.config.paths import path
from convarium.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from convarium.catalogue.rows import Row
    from convarium.compression.file.container import File

Json = dict[str, Any]
SIGNATURE = re.compile(r"[0-9a-f]{1,12}")


@dataclass(frozen=True)
class Named:
    """What a command line says of a network that is built.

    Attributes:
        option: the file of conf/architecture that names it.
        row: of the catalogue.
        changed: the overrides by which it is not the row's network any more.
    """

    option: str
    row: "Row | None"
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """A trained network.

    Attributes:
        path: its `.cvm` file.
        signature: of the stage that made it; None of a file that was named by its path.
        allow: outside packages that the file may name.
        config: says where things lie, and of a file whose images it is for, where `has_dataset`.
    """

    file: "File"
    path: Path
    signature: str | None
    allow: tuple[str, ...]
    config: Json
    has_dataset: bool = False


@dataclass(frozen=True)
class Subject:
    """A network: on the meta device where it is `named`, with its weights where it is `stored`.

    Attributes:
        architecture: what it is built from, complete.
        images: whose its input's size and its classes are, for a person to read.
        width: of an image that is not square.
    """

    network: "nn.Module"
    architecture: Json
    images: str
    named: Named | None = None
    stored: Stored | None = None
    width: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of the images that it takes."""
        side = self.architecture["img_size"]
        return self.architecture["in_chans"], side, self.width or side


def subject(word: str | None, overrides: Sequence[str]) -> Subject:
    """Return what a command line names: by a `word` (a signature or a file), else by `architecture=…`.

    Raises:
        UserError: nothing, more than one network, or none that can be built, found or read.
    """
    if word is None:
        return _architecture(overrides)
    if path(word).is_file() or Path(word).suffix or "/" in word:
        return _of(_file(path(word), overrides))
    if not SIGNATURE.fullmatch(word):
        raise UserError(f"{word} is neither a signature nor a file; a network by its name is architecture={word}")
    return _of(_signature(word, overrides))


def _architecture(overrides: Sequence[str]) -> Subject:
    from convarium.architectures import library
    from convarium.catalogue.networks import row_of
    from convarium.cli.native import native, of_dataset
    from convarium.cli.points import ask
    from convarium.names import allowing, packages

    if not any(text.startswith("architecture=") for text in overrides):
        raise UserError("convarium inspect: which network? write architecture=NAME, a signature, or a .cvm file")
    point, *others = ask(overrides).accepted()
    if others:
        raise UserError(f"inspect takes one network, not {len(others) + 1}")
    if point.config["compression"]:
        raise UserError("inspect shows a network before compression, or a stored one: leave out compression=…")
    option = next(text for text in point.overrides if text.startswith("architecture=")).partition("=")[2]
    row = row_of(option, point.config["architecture"]["name"])
    of_row = (row.config or "").split() if row else ()
    changed = tuple(text for text in point.overrides if text.startswith("architecture.") and text not in of_row)
    named = Named(option, row, changed)
    told = {key: value for key, value in point.config["architecture"].items() if key not in ("weights", "pretrained")}
    typed = any(text.startswith("dataset") for text in overrides)
    with allowing(packages(point.config)):
        images = of_dataset(point.config["dataset"]) if typed else native(named, told, point.config["dataset"])
        told = library.delivered({**told, **images.told})
        network = library.build(told, "meta").eval() if images.width else library.trial(told)
        return Subject(network, told, images.whose, named, width=images.width)


def _of(stored: Stored) -> Subject:
    from convarium.compression.file import container

    return Subject(container.network(stored.file), stored.file.header["architecture"], "of its file", stored=stored)


def _file(path: Path, overrides: Sequence[str]) -> Stored:
    from convarium.cli.points import ask
    from convarium.compression.file import container
    from convarium.names import allowing, packages

    config = ask(overrides).accepted()[0].config
    allow = tuple(sorted(packages(config)))
    foreign = [text for text in overrides if not text.startswith(("dataset", "runtime."))]
    if foreign and not allow:  # an outside network is named so that its package may be imported
        raise UserError(f"{foreign[0]}: the file says what its network is; inspect takes runtime.… and dataset=NAME")
    with allowing(allow):
        has_dataset = any(text.startswith("dataset=") for text in overrides)
        return Stored(container.read(path, allow), path, None, allow, config, has_dataset)


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
