"""The control that a claim about storage must beat: the ISO coder on a trained network, without data or training."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convarium.compression.external_coders import nncodec

DEFAULT_QPS = (-24, -22, -21, -20, -19, -18)
MAX_DROP = 0.2


@dataclass(frozen=True)
class OperatingPoint:
    """One operating point of the ISO coder.

    Attributes:
        state: state dict of the decoded network.
        bitstream: the ISO coder's stream, of all float32 tensors but scalars.
        uncoded_bytes: what the stream doesn't hold (scalars, whole numbers), eight bytes a number.
        qp: its quantisation parameter.
        accuracy_drop_pp: validation accuracy lost, in percentage points.
        is_allowed: whether that is at most what was allowed; if not, nothing was and the finest is here.
    """

    state: dict[str, Tensor]
    bitstream: bytes
    uncoded_bytes: bytes
    qp: int
    accuracy_drop_pp: float
    is_allowed: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of all that has to be stored."""
        return len(self.bitstream) + len(self.uncoded_bytes)


def select_operating_point(
    network: nn.Module,
    measure_accuracy: Callable[[nn.Module], float],
    qps: Sequence[int] = DEFAULT_QPS,
    max_drop: float = MAX_DROP,
) -> OperatingPoint:
    """Encode at every qp, decode, and choose the fewest bytes that lose at most `max_drop` pp of accuracy.

    Args:
        network: plain (no representation attached); it is not changed.
        measure_accuracy: share of validation images that a network classifies correctly, in 0..1.
        qps: from fine to coarse; a step of 4 doubles the distance of two levels.

    Raises:
        NotInstalled: the coder is not there.
        StageFailed: its process failed.
    """
    tensors = network.state_dict(keep_vars=True)
    first = {id(tensor): name for name, tensor in reversed(tensors.items())}  # a tied tensor has several names
    arrays = {name: _to_array(tensors[name]) for name in first.values() if _is_codable(tensors[name])}
    kept = b"".join(_to_eight_byte_numbers(tensors[name]) for name in first.values() if name not in arrays)
    found = nncodec.encode_and_decode([nncodec.CodingRequest(arrays, {"qp": qp, "opt_qp": True}) for qp in qps])
    dense, probe, tried = measure_accuracy(network), deepcopy(network), {}
    for coded, qp in sorted(zip(found, qps, strict=True), key=lambda point: len(point[0].stream)):
        decoded = {name: torch.from_numpy(array) for name, array in coded.arrays.items()}
        state = {name: decoded.get(first[id(tensor)], tensor.detach().clone()) for name, tensor in tensors.items()}
        probe.load_state_dict(state)
        drop = 100 * (dense - measure_accuracy(probe))
        tried[qp] = OperatingPoint(state, coded.stream, kept, qp, drop, drop <= max_drop)
        if tried[qp].is_allowed:
            return tried[qp]
    return tried[min(qps)]


def _is_codable(tensor: Tensor) -> bool:
    """Whether the ISO coder takes it: it fails on scalars and on other types."""
    return tensor.dtype == torch.float32 and tensor.dim() > 0


def _to_array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().contiguous().numpy()


def _to_eight_byte_numbers(tensor: Tensor) -> bytes:
    """Eight bytes a number."""
    plain = tensor.detach().cpu()
    return (plain.double() if plain.is_floating_point() else plain.long()).contiguous().numpy().tobytes()
