"""The control that a claim about storage must beat: a trained network, coded by the ISO coder without retraining."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convarium.compression.external_coders import nncodec

DEFAULT_QPS = (-24, -22, -21, -20, -19, -18)
MAX_DROP = 0.2  # percentage points


@dataclass(frozen=True)
class OperatingPoint:
    """One operating point of the ISO coder.

    Attributes:
        state: state dict of the decoded network.
        bitstream: the ISO coder's stream, of all float32 tensors but scalars.
        uncoded_bytes: the tensors that the stream doesn't hold (scalars, whole numbers), eight bytes a number.
        qp: its quantisation parameter.
        accuracy_drop_pp: validation accuracy lost, in percentage points.
        is_allowed: whether the drop is at most the allowed one. If not, no point's was, and this is the finest.
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
    """Encode and decode at every qp, and return the point of fewest bytes that loses at most `max_drop` pp of accuracy.

    Args:
        network: plain (no representation attached); it is not changed.
        measure_accuracy: share of validation images that a network classifies correctly, in 0..1.
        qps: quantisation parameters; 4 more double the distance between two levels.
        max_drop: in percentage points.

    Raises:
        ProgramNotInstalled: the coder is not installed.
        StageFailed: its process failed.
    """
    tensors = network.state_dict(keep_vars=True)
    # A tied tensor has several names and is coded once. In reverse, so that its first name wins.
    name_by_id = {id(tensor): name for name, tensor in reversed(tensors.items())}
    arrays = {name: _to_array(tensors[name]) for name in name_by_id.values() if _is_codable(tensors[name])}
    uncoded_names = [name for name in name_by_id.values() if name not in arrays]
    uncoded_bytes = b"".join(_to_eight_byte_numbers(tensors[name]) for name in uncoded_names)
    requests = [nncodec.CodingRequest(arrays, {"qp": qp, "opt_qp": True}) for qp in qps]
    results = nncodec.encode_and_decode(requests)
    dense_accuracy = measure_accuracy(network)
    decoded_network = deepcopy(network)
    points: dict[int, OperatingPoint] = {}
    # By size, so that the first allowed point is the smallest, and few networks are evaluated.
    for result, qp in sorted(zip(results, qps, strict=True), key=lambda pair: len(pair[0].stream)):
        state = _restore_state(tensors, name_by_id, result.arrays)
        decoded_network.load_state_dict(state)
        drop = 100 * (dense_accuracy - measure_accuracy(decoded_network))
        points[qp] = OperatingPoint(state, result.stream, uncoded_bytes, qp, drop, drop <= max_drop)
        if points[qp].is_allowed:
            return points[qp]
    return points[min(qps)]


def _restore_state(
    tensors: Mapping[str, Tensor], name_by_id: Mapping[int, str], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Tensor]:
    """The state dict with the decoded arrays under all names of their tensors, and copies of all other tensors."""
    decoded = {name: torch.from_numpy(array) for name, array in arrays.items()}
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        coded_name = name_by_id[id(tensor)]
        state[name] = decoded[coded_name] if coded_name in decoded else tensor.detach().clone()
    return state


def _is_codable(tensor: Tensor) -> bool:
    """Whether the stream can hold a tensor: the ISO coder fails on scalars, and quantises float32 only."""
    return tensor.dtype == torch.float32 and tensor.dim() > 0


def _to_array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().contiguous().numpy()


def _to_eight_byte_numbers(tensor: Tensor) -> bytes:
    """The values as float64 or int64, whichever holds them exactly."""
    values = tensor.detach().cpu()
    wide_values = values.double() if values.is_floating_point() else values.long()
    return wide_values.contiguous().numpy().tobytes()
