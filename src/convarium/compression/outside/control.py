"""The control that a claim about storage must beat: the ISO coder on a trained network, without data or training."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convarium.compression.outside import nncodec

QPS = (-24, -22, -21, -20, -19, -18)
MAX_DROP = 0.2


@dataclass(frozen=True)
class Chosen:
    """One operating point of the ISO coder.

    Attributes:
        state: state dict of the decoded network.
        bitstream: the ISO coder's stream, of all float32 tensors but scalars.
        kept: what the stream doesn't hold (scalars, whole numbers), eight bytes a number.
        qp: its quantisation parameter.
        drop: validation accuracy lost, in percentage points.
        within: whether that is at most what was allowed; if not, nothing was and the finest is here.
    """

    state: dict[str, Tensor]
    bitstream: bytes
    kept: bytes
    qp: int
    drop: float
    within: bool

    @property
    def size(self) -> int:
        """Bytes of all that has to be stored."""
        return len(self.bitstream) + len(self.kept)


def choose(
    network: nn.Module, accuracy: Callable[[nn.Module], float], qps: Sequence[int] = QPS, max_drop: float = MAX_DROP
) -> Chosen:
    """Encode at every qp, decode, and choose the fewest bytes that lose at most `max_drop` pp of accuracy.

    Args:
        network: plain (no representation attached); it is not changed.
        accuracy: share of validation images that a network classifies correctly, in 0..1.
        qps: from fine to coarse; a step of 4 doubles the distance of two levels.

    Raises:
        NotInstalled: the coder is not there.
        StageFailed: its process failed.
    """
    tensors = network.state_dict(keep_vars=True)
    first = {id(tensor): name for name, tensor in reversed(tensors.items())}  # a tied tensor has several names
    arrays = {name: _array(tensors[name]) for name in first.values() if _taken(tensors[name])}
    kept = b"".join(_eight(tensors[name]) for name in first.values() if name not in arrays)
    found = nncodec.round_trips([nncodec.Request(arrays, {"qp": qp, "opt_qp": True}) for qp in qps])
    dense, probe, tried = accuracy(network), deepcopy(network), {}
    for coded, qp in sorted(zip(found, qps, strict=True), key=lambda point: len(point[0].stream)):
        decoded = {name: torch.from_numpy(array) for name, array in coded.arrays.items()}
        state = {name: decoded.get(first[id(tensor)], tensor.detach().clone()) for name, tensor in tensors.items()}
        probe.load_state_dict(state)
        drop = 100 * (dense - accuracy(probe))
        tried[qp] = Chosen(state, coded.stream, kept, qp, drop, drop <= max_drop)
        if tried[qp].within:
            return tried[qp]
    return tried[min(qps)]


def _taken(tensor: Tensor) -> bool:
    """Whether the ISO coder takes it: it fails on scalars and on other types."""
    return tensor.dtype == torch.float32 and tensor.dim() > 0


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().contiguous().numpy()


def _eight(tensor: Tensor) -> bytes:
    """Eight bytes a number."""
    plain = tensor.detach().cpu()
    return (plain.double() if plain.is_floating_point() else plain.long()).contiguous().numpy().tobytes()
