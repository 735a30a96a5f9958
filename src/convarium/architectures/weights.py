"""Weights from outside: tensors by name, and what their source tells beside; known by their content."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Tensors by name.

    Attributes:
        notes: what had to be done to get at them, in words.
        fresh_names: names of the network's tensors that are not among them.
        mean, std: per channel of pixels in 0..1, by which their images are normalised, where their source tells.
        value_range: the values that are 0 and 1 before, of images of more than 8 bits, where their source tells.
        model: library and name of the network that they are of, where their source tells.
    """

    tensors: Tensors
    notes: tuple[str, ...] = ()
    fresh_names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    value_range: tuple[float, float] | None = None
    model: tuple[str, str] | None = None


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hexadecimal digits of sha256 over names (sorted), types, shapes and bytes."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        described = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(described, separators=(",", ":")).encode() + b"\0")
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
