"""A network is rehearsed before anything trains: whether training works, and loading brings the same network back.

What the meta device can't show is tried on real tensors, two images large: for networks of outside packages all of it;
for those of the libraries whether what no state dict holds is the same each time that they are built.
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
from convarium.architectures.unsaved_tensors import find_unsaved_tensors
from convarium.coding.site_streams import STORED_DTYPES
from convarium.cost.macs import count_macs
from convarium.datasets.splits import to_channels_last
from convarium.errors import UserError
from convarium.lookup import find_named_packages
from convarium.representations import parametrization

TRAINING_STEPS = 2
LOGIT_TOLERANCE = 1e-4

Json = Mapping[str, Any]


def dry_run_network(architecture: Json, bare: nn.Module) -> None:
    """Refuse a network that would fail, or become another one, after its training.

    Args:
        bare: what `factory.dry_run_architecture` gives, on the meta device; left as it is.

    Raises:
        UserError: tensors that a file can't hold, values that change from one build to the next, images that are
            written into, a forward pass that fails or gives no logits when it trains.
    """
    owner = f"architecture {architecture['name']}"
    _check_tensor_types(bare, owner)
    loose = find_unsaved_tensors(bare)
    _check_trainable_tensors(loose, owner)
    is_outside = bool(find_named_packages(architecture["name"]))
    if not is_outside and not loose:
        return
    first, second = _build_with_seed(architecture, 0), _build_with_seed(architecture, 1)
    _check_loose_tensors(first, second, owner)
    if is_outside:
        images = torch.randn(2, *vars(bare)["input_shape"], generator=torch.Generator().manual_seed(0))
        of = _DryRun(owner, to_channels_last(images), architecture["num_classes"])
        of.check_same_logits(first, second)
        of.check_macs(first)
        of.check_training(second)


def _check_tensor_types(bare: nn.Module, owner: str) -> None:
    for name, tensor in bare.state_dict(keep_vars=True).items():
        if tensor.dtype not in STORED_DTYPES:
            what = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
            held = ", ".join(str(dtype).removeprefix("torch.") for dtype in STORED_DTYPES)
            said = f"{owner}: its {what} '{name}' is {str(tensor.dtype).removeprefix('torch.')}"
            raise UserError(f"{said}, a file holds {held}: build it with .float()")


def _check_trainable_tensors(loose: Mapping[str, Tensor], owner: str) -> None:
    for path, tensor in loose.items():
        if tensor.requires_grad:
            raise UserError(
                f"{owner}: '{path}' is to be trained, but is not a parameter of the network, so that nothing trains or"
                " stores it: hold layers in a nn.ModuleList, tensors in nn.Parameter, compute the rest in forward"
            )


def _check_loose_tensors(first: nn.Module, second: nn.Module, owner: str) -> None:
    """Compare what two builds hold that no state dict does."""
    again = find_unsaved_tensors(second)
    buffers = {name for name, _ in first.named_buffers()}
    for path, tensor in find_unsaved_tensors(first).items():
        if path not in again or not _is_same_tensor(tensor, again[path]):
            name = path.rpartition(".")[2] if path in buffers or path.isidentifier() else "NAME"
            raise UserError(
                f"{owner}: '{path}' has other values each time the network is built, and no state dict holds it:"
                f" write self.register_buffer('{name}', …, persistent=True)"
            )


@dataclass(frozen=True)
class _DryRun:
    """Refuses what does not work of a network that has been built.

    Attributes:
        owner: what a line begins with.
        images: two, as they are trained and measured.
        classes: how many the network tells apart.
    """

    owner: str
    images: Tensor
    classes: int

    def check_same_logits(self, first: nn.Module, second: nn.Module) -> None:
        """Give the second the first one's values, as a file would, and compare their answers."""
        _randomise_vectors(first)
        if _list_shapes(first) != _list_shapes(second):
            raise UserError(f"{self.owner}: it has other tensors each time it is built: draw them from a fixed seed")
        parametrization.replace_tensors(
            second,
            {
                name: parametrization.materialise_site(first, name)
                for name in parametrization.collect_stored_tensors(first)
            },
        )
        wanted, found = (self._compute_logits(network.eval(), self.images) for network in (first, second))
        if not torch.allclose(
            found, wanted, rtol=LOGIT_TOLERANCE, atol=LOGIT_TOLERANCE * float(wanted.abs().max()), equal_nan=True
        ):
            raise UserError(
                f"{self.owner}: built again and given the same weights it answers otherwise: what it draws, or holds of"
                " its parameters a second time, must be in its state dict, or come from a fixed seed"
            )
        self._compute_logits(first, self.images[:1], " with one image")

    def check_macs(self, network: nn.Module) -> None:
        """Count its operations, as measuring does: of a copy on the meta device."""
        with self._raise_as_user_error(
            "can't be copied to another device (a function that holds a tensor? make it a buffer)"
        ):
            count_macs(network, self.images.shape[1:])

    def check_training(self, network: nn.Module) -> None:
        """Take a few steps: what comes back while training must be logits, too."""
        network.train()
        for _ in range(TRAINING_STEPS):
            logits = self._compute_logits(network, self.images, " when it trains")
            with self._raise_as_user_error("fails when it trains"):
                functional.cross_entropy(logits, torch.zeros(2, dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]

    def _compute_logits(self, network: nn.Module, images: Tensor, when: str = "") -> Tensor:
        before = images.clone()
        with _fix_random_state(0), torch.set_grad_enabled(network.training), self._raise_as_user_error(f"fails{when}"):
            logits = network(images)
        if not torch.equal(images, before):
            raise UserError(factory.WRITES_INTO_IMAGES_MESSAGE.format(owner=self.owner))
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (len(images), self.classes):
            what = f"a tensor of {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            expected = f"one of {(len(images), self.classes)}"
            raise UserError(f"{self.owner}: of {len(images)} images it makes {what}{when}, expected {expected}")
        return logits.double()

    @contextmanager
    def _raise_as_user_error(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UserError(f"{self.owner} {what}: {first}") from None


def _build_with_seed(architecture: Json, seed: int) -> nn.Module:
    with _fix_random_state(seed):
        network = factory.build_architecture(architecture)
    side = architecture["img_size"]
    vars(network)["input_shape"] = (architecture["in_chans"], side, side)
    return network


@contextmanager
def _fix_random_state(seed: int) -> Iterator[None]:
    """Draw from `seed` meanwhile, whatever draws: torch, numpy or Python."""
    python, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpys)


def _randomise_vectors(network: nn.Module) -> None:
    """Make vectors, and what is zero, random and positive: a scale that begins at zero would hide what it scales."""
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict(keep_vars=True).values():
            if tensor.is_floating_point() and (tensor.dim() < 2 or not tensor.any()):
                tensor.uniform_(0.5, 1.5, generator=drawn)


def _list_shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _is_same_tensor(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one, other) or torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
