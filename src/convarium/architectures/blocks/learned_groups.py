"""Learned group convolutions: Huang et al., "CondenseNet", CVPR 2018, section 3.

Each has two forms. While it is trained, it is dense, and each group of filters loses inputs; filters take turns, so
that filter o is of group o modulo `groups`, and the grouped convolution that follows sees filters of all groups.
Delivered, it selects the inputs that are left, and is an ordinary grouped convolution, its outputs put back in order.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.dropout import build_dropout

Tensors = dict[str, Tensor]
PROGRESS_TOLERANCE = 1e-9  # of the share of steps
MIN_SQUARED_NORM = 1e-12  # square of a norm, below which it has no gradient


class Connections(nn.Module):
    """Which inputs each group of filters has: all at first, one of `condensation` from the middle of training on."""

    kept: Tensor

    def __init__(self, groups: int, inputs: int, condensation: int) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones(groups, inputs, dtype=torch.bool))
        self.moments, self.past = condensation - 1, 0
        self.least = inputs // condensation

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight (outputs, inputs, ...) with zeros where a filter has no connection."""
        mask = self.kept.repeat(len(weight) // len(self.kept), 1)
        return weight * mask.view(*mask.shape, *[1] * (weight.dim() - 2))

    @property
    def is_condensed(self) -> bool:
        """Whether `advance` has seen the last moment."""
        return self.past == self.moments

    def drop_due_connections(self, weight: Tensor, progress: float) -> None:
        """Drop what is due at `progress`, 0..1: in each group the inputs of least summed magnitude.

        The moments are evenly spaced in the first half of training; each takes one of `condensation` inputs.
        """
        past = min(self.moments, int(2 * progress * self.moments + PROGRESS_TOLERANCE))
        if past <= self.past:
            return
        self.past, inputs = past, self.kept.shape[1]
        due = past * (inputs - self.least) // self.moments - int((~self.kept[0]).sum())
        if due > 0:
            scores = self.score_inputs(weight).masked_fill(~self.kept, torch.inf)
            self.kept.scatter_(1, scores.sort(dim=1, stable=True).indices[:, :due], value=False)

    def score_inputs(self, weight: Tensor) -> Tensor:
        """Return the summed magnitude of each input's weights within a group, (groups, inputs)."""
        return _view_by_group(weight.detach().abs(), len(self.kept)).sum(0)

    def compute_group_lasso(self, weight: Tensor) -> Tensor:
        """Return the group lasso: over groups and inputs, the sum of the norms of an input's weights within a group.

        It is there to make columns small before they are dropped: once all are dropped that will be, it is zero.
        """
        if self.is_condensed:
            return weight.new_zeros(())
        return _view_by_group(self(weight).square(), len(self.kept)).sum(0).clamp(min=MIN_SQUARED_NORM).sqrt().sum()

    def list_kept_inputs(self) -> Tensor:
        """Return the inputs that each group has, ascending, int32 (groups, inputs that are left)."""
        return self.kept.nonzero()[:, 1].view(len(self.kept), -1).int()

    def select_kept_weights(self, weight: Tensor) -> Tensor:
        """Return the weights that are left, group after group: (outputs, inputs that are left, ...)."""
        groups, indices = _view_by_group(weight.detach(), len(self.kept)), self.list_kept_inputs().long()
        left = [groups[:, number, places] for number, places in enumerate(indices)]
        return torch.cat(left).view(len(weight), -1, *weight.shape[2:])


def _view_by_group(weight: Tensor, groups: int) -> Tensor:
    """View (outputs, inputs, 1, 1) as (outputs / groups, groups, inputs)."""
    return weight.view(len(weight) // groups, groups, weight.shape[1])


class LearnedGroupConv(nn.Module):
    """Batch normalisation, ReLU, dropout and a dense 1x1 convolution whose groups of filters lose inputs."""

    def __init__(self, inputs: int, outputs: int, groups: int, condensation: int, rate: float) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(inputs), build_dropout(rate)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.connections = Connections(groups, inputs, condensation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        return functional.conv2d(self.drop(functional.relu(self.norm(x))), self.connections(self.conv.weight))

    @property
    def weight(self) -> Tensor:
        """The dense weight, dropped connections included, (outputs, inputs, 1, 1)."""
        return self.conv.weight

    def condensed_state(self) -> Tensors:
        """Return the state of a `SelectedGroupConv` that computes the same."""
        index = self.connections.list_kept_inputs().flatten()
        norm = {
            f"norm.{name}": tensor[index.long()] if tensor.dim() else tensor
            for name, tensor in self.norm.state_dict().items()
        }
        return {"index": index, "conv.weight": self.connections.select_kept_weights(self.weight), **norm}


class Selecting(nn.Module):
    """A layer that sees those of its `inputs` which its state dict names: `index`, int32."""

    index: Tensor

    def __init__(self, inputs: int, index: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("index", index.int())

    @property
    def has_valid_index(self) -> bool:
        """Whether it has all the inputs that it selects."""
        return bool(((self.index >= 0) & (self.index < self.inputs)).all())

    def select_inputs(self, x: Tensor) -> Tensor:
        """Map (N, inputs, …) to (N, selected, …)."""
        return x.index_select(1, self.index)


class SelectedGroupConv(Selecting):
    """Selects inputs, then batch normalisation, ReLU, dropout, a grouped 1x1 convolution and a shuffle.

    Unless weights are loaded, each group has neighbouring inputs: an ordinary group convolution. An input may be
    selected by several groups, or by none.
    """

    def __init__(self, inputs: int, outputs: int, groups: int, condensation: int, rate: float) -> None:
        first, places = torch.arange(groups) * inputs // groups, torch.arange(inputs // condensation)
        super().__init__(inputs, ((first[:, None] + places) % inputs).flatten())
        self.norm, self.drop = nn.BatchNorm2d(len(self.index)), build_dropout(rate)
        self.conv = nn.Conv2d(len(self.index), outputs, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W); output j of group g comes at place j * groups + g."""
        made = self.conv(self.drop(functional.relu(self.norm(self.select_inputs(x)))))
        return cast(Tensor, made.unflatten(1, (self.conv.groups, -1)).transpose(1, 2).flatten(1, 2))


class LearnedLinear(nn.Module):
    """A linear layer that loses inputs, the same ones in all its outputs."""

    def __init__(self, inputs: int, outputs: int, condensation: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.connections = Connections(1, inputs, condensation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        return functional.linear(x, self.connections(self.linear.weight), self.linear.bias)

    @property
    def weight(self) -> Tensor:
        """The dense weight, dropped connections included, (outputs, inputs)."""
        return self.linear.weight

    def condensed_state(self) -> Tensors:
        """Return the state of a `SelectedLinear` that computes the same."""
        left = self.connections.select_kept_weights(self.weight)
        index = self.connections.list_kept_inputs().flatten()
        return {"index": index, "linear.weight": left, "linear.bias": self.linear.bias.detach()}


class SelectedLinear(Selecting):
    """A linear layer on some of its inputs; unless weights are loaded, the first ones."""

    def __init__(self, inputs: int, outputs: int, condensation: int) -> None:
        super().__init__(inputs, torch.arange(inputs // condensation))
        self.linear = nn.Linear(inputs // condensation, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        return cast(Tensor, self.linear(self.select_inputs(x)))
