"""Dry run of a network before anything trains: does training work, and does a stored file give the same network back?

What the meta device can't show is tried on real tensors, with two images. A network of an outside package is built
twice and trained for a few steps. Of any other, tensors outside its state dict are compared between two builds.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures import factory
from convarium.architectures.dry_run import WRITES_INTO_IMAGES_MESSAGE
from convarium.architectures.unsaved_tensors import find_unsaved_tensors
from convarium.coding.site_streams import STORED_DTYPES
from convarium.cost.macs import count_macs
from convarium.datasets.splits import to_channels_last
from convarium.errors import UserError, format_first_line
from convarium.lookup import find_named_packages
from convarium.representations import parametrization

TRAINING_STEPS = 2  # the second runs on what the first left in the network, such as a graph that is freed by then
LOGIT_TOLERANCE = 1e-4  # relative and, as a share of the largest logit, absolute

Json = Mapping[str, Any]


def dry_run_network(architecture: Json, bare: nn.Module) -> None:
    """Refuse a network that would fail in training, or come back from a file as another one.

    Args:
        architecture: as the config describes it.
        bare: the same network from `dry_run_architecture`, on the meta device; it is not changed.

    Raises:
        UserError: the network has tensors that a file can't hold, values that change from one build to the next,
            writes into its images, fails in a forward pass, or gives no logits in training mode.
    """
    owner = f"architecture {architecture['name']}"
    _check_tensor_types(bare, owner)
    unsaved_tensors = find_unsaved_tensors(bare)
    _check_trainable_tensors(unsaved_tensors, owner)
    is_outside = bool(find_named_packages(architecture["name"]))
    if not is_outside and not unsaved_tensors:
        return
    # Two seeds: values that are drawn, rather than computed or stored, differ between the builds.
    first, second = _build_with_seed(architecture, 0), _build_with_seed(architecture, 1)
    _check_unsaved_tensors(first, second, owner)
    if is_outside:
        images = torch.randn(2, *vars(bare)["input_shape"], generator=torch.Generator().manual_seed(0))
        dry_run = _DryRun(owner, to_channels_last(images), architecture["num_classes"])
        dry_run.check_same_logits(first, second)
        dry_run.check_macs(first)
        dry_run.check_training(second)


def _check_tensor_types(bare: nn.Module, owner: str) -> None:
    for name, tensor in bare.state_dict(keep_vars=True).items():
        if tensor.dtype not in STORED_DTYPES:
            kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
            stored_types = ", ".join(map(_format_dtype, STORED_DTYPES))
            raise UserError(
                f"{owner}: its {kind} '{name}' is {_format_dtype(tensor.dtype)}, a file holds {stored_types}:"
                " build it with .float()"
            )


def _format_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check_trainable_tensors(unsaved_tensors: Mapping[str, Tensor], owner: str) -> None:
    for path, tensor in unsaved_tensors.items():
        if tensor.requires_grad:
            raise UserError(
                f"{owner}: '{path}' is to be trained, but is not a parameter of the network, so that nothing trains or"
                " stores it: hold layers in a nn.ModuleList, tensors in nn.Parameter, compute the rest in forward"
            )


def _check_unsaved_tensors(first: nn.Module, second: nn.Module, owner: str) -> None:
    """Compare the tensors that two builds hold outside their state dicts."""
    second_tensors = find_unsaved_tensors(second)
    buffers = {name for name, _ in first.named_buffers()}
    for path, tensor in find_unsaved_tensors(first).items():
        if path in second_tensors and _is_same_tensor(tensor, second_tensors[path]):
            continue
        # The path of a tensor in a list or an object ("means[0]") suggests no name for the buffer.
        has_name = path in buffers or path.isidentifier()
        name = path.rpartition(".")[2] if has_name else "NAME"
        raise UserError(
            f"{owner}: '{path}' has other values each time the network is built, and no state dict holds it:"
            f" write self.register_buffer('{name}', …, persistent=True)"
        )


@dataclass(frozen=True)
class _DryRun:
    """Checks of a network on real tensors.

    Attributes:
        owner: what every error message begins with.
        images: (2, C, H, W), normalised and channels-last, as in training.
        classes: number of classes of the network.
    """

    owner: str
    images: Tensor
    classes: int

    def check_same_logits(self, first: nn.Module, second: nn.Module) -> None:
        """Give the second network the values of the first, as loading a file would, and compare their logits."""
        _randomise_vectors(first)
        if _list_shapes(first) != _list_shapes(second):
            raise UserError(f"{self.owner}: it has other tensors each time it is built: draw them from a fixed seed")
        names = parametrization.collect_stored_tensors(first)
        tensors = {name: parametrization.materialise_site(first, name) for name in names}
        parametrization.replace_tensors(second, tensors)
        expected = self._compute_logits(first.eval(), self.images)
        logits = self._compute_logits(second.eval(), self.images)
        tolerance = LOGIT_TOLERANCE * float(expected.abs().max())
        if not torch.allclose(logits, expected, rtol=LOGIT_TOLERANCE, atol=tolerance, equal_nan=True):
            raise UserError(
                f"{self.owner}: built again and given the same weights it answers otherwise: what it draws, or holds of"
                " its parameters a second time, must be in its state dict, or come from a fixed seed"
            )
        self._compute_logits(first, self.images[:1], " with one image")

    def check_macs(self, network: nn.Module) -> None:
        """Count its multiply-accumulates as `measure` does: on a copy on the meta device."""
        with self._raise_as_user_error(
            "can't be copied to another device (a function that holds a tensor? make it a buffer)"
        ):
            count_macs(network, self.images.shape[1:])

    def check_training(self, network: nn.Module) -> None:
        """Run a few backward passes: in training mode, too, the network must give logits."""
        network.train()
        labels = torch.zeros(2, dtype=torch.int64)
        for _ in range(TRAINING_STEPS):
            logits = self._compute_logits(network, self.images, " when it trains")
            with self._raise_as_user_error("fails when it trains"):
                loss = functional.cross_entropy(logits, labels)
                loss.backward()  # type: ignore[no-untyped-call]

    def _compute_logits(self, network: nn.Module, images: Tensor, condition: str = "") -> Tensor:
        """Return float64 (N, classes).

        Args:
            condition: under which the network is run, for the error message (" when it trains").
        """
        images_before = images.clone()
        # The same random state each time, so that what is drawn in a forward pass makes no difference between builds.
        with (
            _fix_random_state(0),
            torch.set_grad_enabled(network.training),
            self._raise_as_user_error(f"fails{condition}"),
        ):
            logits = network(images)
        # Compared by value: a write through `.data` leaves no trace in the tensor's version.
        if not torch.equal(images, images_before):
            raise UserError(WRITES_INTO_IMAGES_MESSAGE.format(owner=self.owner))
        expected_shape = (len(images), self.classes)
        if not isinstance(logits, Tensor):
            output = f"a {type(logits).__name__}"
        elif tuple(logits.shape) != expected_shape:
            output = f"a tensor of {tuple(logits.shape)}"
        else:
            return logits.double()
        raise UserError(
            f"{self.owner}: of {len(images)} images it makes {output}{condition}, expected one of {expected_shape}"
        )

    @contextmanager
    def _raise_as_user_error(self, problem: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise UserError(f"{self.owner} {problem}: {format_first_line(error)}") from None


def _build_with_seed(architecture: Json, seed: int) -> nn.Module:
    with _fix_random_state(seed):
        network = factory.build_architecture(architecture)
    side = architecture["img_size"]
    vars(network)["input_shape"] = (architecture["in_chans"], side, side)
    return network


@contextmanager
def _fix_random_state(seed: int) -> Iterator[None]:
    """Seed the global random states of torch, numpy and Python, and restore them at the end."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _randomise_vectors(network: nn.Module) -> None:
    """Fill vectors, scalars and tensors of zeros with random positive values.

    A scale that begins at zero would hide a difference in what it scales.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict(keep_vars=True).values():
            if tensor.is_floating_point() and (tensor.dim() < 2 or not tensor.any()):
                tensor.uniform_(0.5, 1.5, generator=generator)


def _list_shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _is_same_tensor(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    # torch.equal takes every dtype but knows no equal NaN.
    return torch.equal(first, second) or torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
