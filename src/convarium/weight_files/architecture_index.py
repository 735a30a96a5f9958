"""Which network tensors are of, told by their names and shapes from an index of all networks that can be built by name.

The index, `architecture_index.tsv`, has a line for each network: source, name, and three hashes of its tensors. It is
made by `benchmarks/architecture_index.py`; a network that is not in it is only not suggested.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from torch import Tensor

from convarium.weight_files.name_prefixes import WRAPPER_PARTS, list_shared_prefixes, remove_part

INDEX_FILE = "architecture_index.tsv"
HASH_DIGITS = 8
IMAGE_CHANNELS = (1, 3, 4)  # which the first layer's weight may have where its network is the same
MAX_SUGGESTIONS = 3
HASH_DESCRIPTIONS = {
    "named_shapes": "its names and shapes are those of {}",
    "names": "its names are those of {}, the shapes of some tensors are others: architecture.kwargs may differ",
    "ordered_shapes": "its shapes, in order, are those of {}: with --by-order",
}
UNCOUNTED_NAMES = ("num_batches_tracked", "total_ops", "total_params")


@dataclass(frozen=True)
class TensorHashes:
    """What a network's tensors are recognised by; the number of classes and of an image's channels is left aside.

    Attributes:
        names: of the names alone.
        named_shapes: of names with shapes.
        ordered_shapes: of the shapes in order.
    """

    names: str
    named_shapes: str
    ordered_shapes: str


@dataclass(frozen=True)
class IndexedArchitecture:
    """A network of the index; `source` is own, torchvision or timm."""

    source: str
    name: str
    hashes: TensorHashes

    def format_overrides(self) -> str:
        """Return what chooses it on a command line."""
        if self.source == "own":
            return f"architecture={self.name}"
        return f"architecture={self.source} architecture.name={self.name}"


def hash_tensors(tensors: Mapping[str, Tensor]) -> TensorHashes:
    """Return the hashes of a state dict."""
    shapes = {
        name: _format_inner_shape(tensor)
        for name, tensor in tensors.items()
        if name.rpartition(".")[2] not in UNCOUNTED_NAMES
    }
    named_shapes = [f"{name} {shapes[name]}" for name in sorted(shapes)]
    return TensorHashes(_hash_lines(sorted(shapes)), _hash_lines(named_shapes), _hash_lines([*shapes.values()]))


def suggest_architecture(tensors: Mapping[str, Tensor], chosen: Container[str] = ()) -> str | None:
    """Say of which network tensors are, None where the index has none like it.

    Args:
        tensors: of a file, by the names that it gives them.
        chosen: names of the network that they do not fit, of which nothing is said.
    """
    candidates = list(_iterate_unwrapped(tensors))
    for attribute, description in HASH_DESCRIPTIONS.items():
        hashes = {getattr(candidate, attribute) for candidate in candidates}
        rows = [row for row in read_index() if getattr(row.hashes, attribute) in hashes]
        if any(row.name in chosen for row in rows):
            return None
        if rows:
            return description.format(_format_choice(rows))
    return None


def _format_choice(rows: Sequence[IndexedArchitecture]) -> str:
    options = [row.format_overrides() for row in rows]
    further = f", or {len(options) - MAX_SUGGESTIONS} more" if len(options) > MAX_SUGGESTIONS else ""
    return f"{' or '.join(options[:MAX_SUGGESTIONS])}{further}"


@cache
def read_index() -> tuple[IndexedArchitecture, ...]:
    """Return all networks of the index: ours first, then torchvision's and timm's."""
    lines = files(__package__).joinpath(INDEX_FILE).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return tuple(IndexedArchitecture(source, name, TensorHashes(*hashes)) for source, name, *hashes in rows)


def _iterate_unwrapped(tensors: Mapping[str, Tensor]) -> Iterator[TensorHashes]:
    """Yield the hashes of tensors under each of the names that they may have in the network itself."""
    whole = dict(tensors)
    for part in WRAPPER_PARTS:
        whole = {remove_part(name, part): tensor for name, tensor in whole.items()}
    for prefix in list_shared_prefixes(whole):
        yield hash_tensors(
            {name.removeprefix(prefix): tensor for name, tensor in whole.items() if name.startswith(prefix)}
        )


def _format_inner_shape(tensor: Tensor) -> str:
    """Return a shape without its first size; what is 1, 3 or 4 in the place of an image's channels is equal."""
    sizes = list(tensor.shape[1:])
    if len(sizes) == 3 and sizes[0] in IMAGE_CHANNELS:
        sizes[0] = 0
    return "x".join(map(str, sizes))


def _hash_lines(lines: list[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()[:HASH_DIGITS]
