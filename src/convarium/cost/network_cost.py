"""What a network costs: the figures that tables show, budgets limit and searches compare."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.representations import parametrization


class Cost:
    """The cost of a network for one image, each figure counted when it is first asked for.

    A network that changes afterwards needs a new one.
    """

    def __init__(self, network: nn.Module, image_shape: Sequence[int]) -> None:
        """`image_shape` is (C, H, W)."""
        self._network, self._image_shape = network, tuple(image_shape)

    @cached_property
    def parameters(self) -> int:
        """Parameters, trainable or not; a tied tensor counts once."""
        return _count_elements(self._network.parameters())

    @cached_property
    def trainable_parameters(self) -> int:
        """Parameters that require a gradient."""
        return _count_elements(tensor for tensor in self._network.parameters() if tensor.requires_grad)

    @cached_property
    def nonzeros(self) -> int:
        """Parameters that are not zero; the network must have its weights."""
        return sum(int(tensor.count_nonzero()) for tensor in self._network.parameters())

    @cached_property
    def buffers(self) -> int:
        """Values in buffers, such as running means and fixed tables."""
        return _count_elements(self._network.buffers())

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image (see `count_macs`)."""
        return count_macs(self._network, self._image_shape)


def measure_file_bytes(
    network: nn.Module, surgery: Sequence[Mapping[str, Any]], header: Mapping[str, Any], coders: Mapping[str, str]
) -> int:
    """Return the bytes of the compressed file that holds a network: written, and removed again.

    Args:
        network: with its representations.
        surgery: the edits that made its structure.
        header: the file's, without its surgery.
        coders: names of sites and of their coders.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.cvm"
        container.write_cvm(path, network, {**header, "surgery": list(surgery)}, coders)
        return path.stat().st_size


def count_stored_bytes(network: nn.Module) -> int:
    """Return the bytes that a file's blobs take of a plain network, on any device: they do not depend on the values."""
    stored = parametrization.collect_stored_tensors(network).values()
    return sum(tensor.numel() * tensor.element_size() for _, tensors in stored for tensor in tensors)


def _count_elements(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)
