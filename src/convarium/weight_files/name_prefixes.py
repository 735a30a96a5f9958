"""What wraps a network adds to the names of its tensors: found by the network's own names, and taken off."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from convarium.errors import UserError

# Parts of names that wrappers add wherever they wrap: torch.compile, FSDP, activation checkpointing, Opacus.
WRAPPER_PARTS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_module")
# Of several networks in one file the one that trainings call so is meant, the likeliest first.
USUAL_PREFIXES = ("model.", "module.", "net.", "network.", "student.", "model.module.")
MIN_SHARE_MATCHED = 0.5  # of the network's names that a prefix must uncover
MIN_SHARE_PREFIXED = 0.8  # of the file's names, where none of the network's names are in it


@dataclass(frozen=True)
class UnwrappedNames:
    """A file's tensors by the names that they have in the network itself.

    Attributes:
        outside: those that do not lie in the network, by the names that the file gives them.
        order: all of them, in the file's order.
        prefix: what was taken off names.
        notes: what was taken off, in words.
    """

    tensors: dict[str, Tensor]
    outside: dict[str, Tensor]
    order: dict[str, Tensor]
    prefix: str
    notes: tuple[str, ...]

    def find_file_name(self, name: str) -> str:
        """Return the name that a tensor has in the file, but for what wrappers put into it."""
        return name if name in self.outside else f"{self.prefix}{name}"


def unwrap_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> UnwrappedNames:
    """Take off what wrappers added to names.

    Args:
        tensors: of the file.
        expected: of the network.
        source: the file, for mistakes.

    Raises:
        UserError: the network is in the file under several prefixes, and none is the usual one.
    """
    notes: list[str] = []
    whole = dict(tensors)
    for part in WRAPPER_PARTS:
        if not _has_part(expected, part) and _has_part(whole, part):
            whole = {remove_part(name, part): tensor for name, tensor in whole.items()}
            notes.append(f"'{part}.' is taken out of names")
    prefix = _find_prefix(whole, expected, source)
    inside = {name: tensor for name, tensor in whole.items() if name.startswith(prefix)}
    outside = {name: tensor for name, tensor in whole.items() if name not in inside}
    if prefix:
        scope = f"{len(inside)} of {len(whole)}" if outside else "all"
        notes.append(f"'{prefix}' is taken off {scope} names")
    order = {name.removeprefix(prefix): tensor for name, tensor in whole.items()}
    unwrapped = {name.removeprefix(prefix): tensor for name, tensor in inside.items()}
    return UnwrappedNames(unwrapped, outside, order, prefix, tuple(notes))


def _has_part(names: Mapping[str, Tensor], part: str) -> bool:
    return any(part in name.split(".") for name in names)


def remove_part(name: str, part: str) -> str:
    """Return a name without one of its parts, wherever it stands."""
    return ".".join(each for each in name.split(".") if each != part)


def _find_prefix(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> str:
    """Return the prefix under which most of the network's names lie; where none do, the one that most names share."""
    matched = Counter(
        prefix for name in tensors for prefix in _list_prefixes(name) if name.removeprefix(prefix) in expected
    )
    most = max(matched.values(), default=0)
    if most < MIN_SHARE_MATCHED * len(expected):
        return _find_shared_prefix(tensors, expected)
    best = [prefix for prefix, count in matched.items() if count == most]
    usual = [prefix for prefix in ("", *USUAL_PREFIXES) if prefix in best]
    if len(best) > 1 and not usual:
        keys = " or ".join(f"--from {prefix.rstrip('.')}" for prefix in best[:3])
        raise UserError(f"{source} holds this network {len(best)} times ({', '.join(best[:3])}): choose one by {keys}")
    return usual[0] if usual else best[0]


def _list_prefixes(name: str) -> list[str]:
    """Return what a name may begin with: nothing, and its parts up to each dot."""
    parts = name.split(".")
    return ["", *(".".join(parts[:count]) + "." for count in range(1, len(parts)))]


def list_shared_prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what most names begin with, from nothing to the longest."""
    counts = Counter(prefix for name in tensors for prefix in _list_prefixes(name))
    return [prefix for prefix, count in counts.items() if count >= MIN_SHARE_PREFIXED * len(tensors)]


def _find_shared_prefix(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Return the longest prefix that most names share and none of the network's has."""
    shared = [
        prefix for prefix in list_shared_prefixes(tensors) if not any(name.startswith(prefix) for name in expected)
    ]
    return max(shared, key=len, default="")
