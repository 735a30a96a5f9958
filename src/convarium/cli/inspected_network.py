"""The network that `inspect` shows: an architecture of a command line, a stored network, or a network's file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import search_path
from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from convarium.catalogue.rows import CatalogueRow
    from convarium.cvm.container import CompressedFile

Json = dict[str, Any]
SIGNATURE_PREFIX = re.compile(r"[0-9a-f]{1,12}")


@dataclass(frozen=True)
class NamedArchitecture:
    """The architecture that a command line names.

    Attributes:
        option: its option in conf/architecture.
        catalogue_row: the catalogue's row of it, if there is one.
        changed_overrides: overrides that make it another network than the row's.
    """

    option: str
    catalogue_row: "CatalogueRow | None"
    changed_overrides: tuple[Override, ...]


@dataclass(frozen=True)
class InspectedFile:
    """A trained network.

    Attributes:
        file: the content of its `.cvm` file.
        path: of the file.
        signature: of the stage that made it; None for a file that was named by its path.
        allowed_packages: outside packages that the file may name.
        config: says where store and images are; where `has_dataset`, also which images.
        has_dataset: whether a dataset was typed for a file.
    """

    file: "CompressedFile"
    path: Path
    signature: str | None
    allowed_packages: tuple[str, ...]
    config: Json
    has_dataset: bool = False


@dataclass(frozen=True)
class InspectedNetwork:
    """A network: on the meta device where it is `named`, with its weights where it is `stored`.

    Attributes:
        architecture: the complete config that it is built from.
        input_source: where the size of its input and its classes come from, for a person to read.
        width: of an image that is not square; None for square ones.
    """

    network: "nn.Module"
    architecture: Json
    input_source: str
    named: NamedArchitecture | None = None
    stored: InspectedFile | None = None
    width: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of the images that it takes."""
        side = self.architecture["img_size"]
        return self.architecture["in_chans"], side, self.width or side


def resolve_network(word: str | None, overrides: Sequence[Override]) -> InspectedNetwork:
    """Return what a command line names: by a `word` (a signature or a file), else by `architecture=…`.

    Raises:
        UserError: nothing, more than one network, or none that can be built, found or read.
    """
    if word is None:
        return _build_named_network(overrides)
    if parse_path(word).is_file() or Path(word).suffix or "/" in word:
        return _build_stored_network(_read_network_file(parse_path(word), overrides))
    if not SIGNATURE_PREFIX.fullmatch(word):
        raise UserError(f"{word} is neither a signature nor a file; a network by its name is architecture={word}")
    return _build_stored_network(_read_by_signature(word, overrides))


def _build_named_network(overrides: Sequence[Override]) -> InspectedNetwork:
    from convarium.architectures import factory
    from convarium.architectures.dry_run import dry_run_architecture
    from convarium.catalogue.paper_inputs import find_architecture_row
    from convarium.cli.input_spec import build_dataset_input_spec, select_input_spec
    from convarium.compose.points import compose_points
    from convarium.lookup import allow_packages, find_named_packages

    if not any(override.key == "architecture" for override in overrides):
        raise UserError("convarium inspect: which network? write architecture=NAME, a signature, or a .cvm file")
    point, *others = compose_points(overrides).check_points()
    if others:
        raise UserError(f"inspect takes one network, not {len(others) + 1}")
    if point.config["compression"]:
        raise UserError("inspect shows a network before compression, or a stored one: leave out compression=…")
    option = next(override.value for override in point.overrides if override.key == "architecture")
    row = find_architecture_row(option, point.config["architecture"]["name"])
    row_overrides = (row.config or "").split() if row else ()
    changed = tuple(
        override
        for override in point.overrides
        if override.key.startswith("architecture.") and override not in row_overrides
    )
    named = NamedArchitecture(option, row, changed)
    architecture = dict(point.config["architecture"])
    for key in ("weights", "pretrained"):
        architecture.pop(key, None)
    dataset = point.config["dataset"]
    with allow_packages(find_named_packages(point.config)):
        if any(override.group == "dataset" for override in overrides):
            input_spec = build_dataset_input_spec(dataset)
        else:
            input_spec = select_input_spec(row, changed, architecture, dataset)
        architecture = factory.condense_architecture({**architecture, **input_spec.architecture_values})
        if input_spec.width:  # a dry run takes square images only
            network = factory.build_architecture(architecture, "meta").eval()
        else:
            network = dry_run_architecture(architecture)
        return InspectedNetwork(network, architecture, input_spec.source, named, width=input_spec.width)


def _build_stored_network(stored: InspectedFile) -> InspectedNetwork:
    from convarium.cvm import container

    network = container.materialise_network(stored.file)
    return InspectedNetwork(network, stored.file.header["architecture"], "of its file", stored=stored)


def _read_network_file(path: Path, overrides: Sequence[Override]) -> InspectedFile:
    from convarium.compose.points import compose_points
    from convarium.cvm import container
    from convarium.lookup import allow_packages, find_named_packages

    config = compose_points(overrides).check_points()[0].config
    allowed_packages = tuple(sorted(find_named_packages(config)))
    useless = [override for override in overrides if override.group not in ("dataset", "runtime")]
    # An outside architecture may be named, so that its package may be imported.
    if useless and not allowed_packages:
        raise UserError(f"{useless[0]}: the file says what its network is; inspect takes runtime.… and dataset=NAME")
    has_dataset = any(override.key == "dataset" for override in overrides)
    with allow_packages(allowed_packages):
        file = container.read_cvm(path, allowed_packages)
    return InspectedFile(file, path, None, allowed_packages, config, has_dataset)


def _read_by_signature(prefix: str, overrides: Sequence[Override]) -> InspectedFile:
    from convarium.cli.parity_report import compose_locations
    from convarium.compose.store_access import open_store
    from convarium.cvm import container
    from convarium.portable.stored_network import resolve_stored_network

    config = compose_locations(overrides, "inspect")
    network = resolve_stored_network(open_store(config["runtime"]), prefix)
    file = container.read_cvm(network.path, network.allowed_packages)
    return InspectedFile(file, network.path, network.signature, network.allowed_packages, config)


def find_architecture_file(option: str) -> str:
    """Return the file of conf/architecture that has a name, as a user's folder or ours has it."""
    return next(
        str(path.relative_to(root.parent))
        for root in search_path.list_search_folders("conf")
        if (path := root / "architecture" / f"{option}.yaml").is_file()
    )
