"""Learned group convolutions: Huang et al., "CondenseNet", CVPR 2018, section 3.

Each has two forms. During training it is dense, and each group of filters loses inputs. Filter o is in group o modulo
`groups`, so that each group of the grouped convolution after it sees filters of all groups. The condensed form selects
the inputs that are left and is an ordinary grouped convolution, whose outputs are shuffled back into this order.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.dropout import build_dropout

Tensors = dict[str, Tensor]
PROGRESS_TOLERANCE = 1e-9  # added before rounding down, because a share of steps may be rounded below its exact value
MIN_SQUARED_NORM = 1e-12  # the square root has no finite gradient at 0


class Connections(nn.Module):
    """Which inputs each group of filters has: initially all, after half the training one of every `condensation`."""

    kept: Tensor

    def __init__(self, groups: int, inputs: int, condensation: int) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones(groups, inputs, dtype=torch.bool))
        self.drops, self.drops_done = condensation - 1, 0
        self.final_inputs = inputs // condensation

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight (outputs, inputs, ...) with zeros where a filter has lost its connection."""
        mask = self.kept.repeat(len(weight) // len(self.kept), 1)
        return weight * mask.view(*mask.shape, *[1] * (weight.dim() - 2))

    @property
    def is_condensed(self) -> bool:
        """Whether the last connections that are ever dropped are dropped."""
        return self.drops_done == self.drops

    def drop_due_connections(self, weight: Tensor, progress: float) -> None:
        """Drop what is due at `progress`, 0..1: in each group the inputs of least summed magnitude.

        The drops are evenly spaced in the first half of training; each takes one of every `condensation` inputs.
        """
        drops_due = min(self.drops, int(2 * progress * self.drops + PROGRESS_TOLERANCE))
        if drops_due <= self.drops_done:
            return
        self.drops_done = drops_due
        # Counted in `kept`, since only that is in a checkpoint; `drops_done` is 0 again after loading one.
        dropped = int((~self.kept[0]).sum())
        surplus = self.kept.shape[1] - self.final_inputs
        due = drops_due * surplus // self.drops - dropped
        if due > 0:
            scores = self.score_inputs(weight).masked_fill(~self.kept, torch.inf)
            weakest = scores.sort(dim=1, stable=True).indices[:, :due]
            self.kept.scatter_(1, weakest, value=False)

    def score_inputs(self, weight: Tensor) -> Tensor:
        """Return the summed magnitude of each input's weights within a group, (groups, inputs)."""
        return _view_by_group(weight.detach().abs(), len(self.kept)).sum(0)

    def compute_group_lasso(self, weight: Tensor) -> Tensor:
        """Return the group lasso: the sum, over groups and inputs, of the norm of an input's weights within a group.

        Its purpose is to make columns small before they are dropped, so it is zero once the last ones are.
        """
        if self.is_condensed:
            return weight.new_zeros(())
        squared_norms = _view_by_group(self(weight).square(), len(self.kept)).sum(0)
        return squared_norms.clamp(min=MIN_SQUARED_NORM).sqrt().sum()

    def list_kept_inputs(self) -> Tensor:
        """Return the inputs that each group still has, ascending: int32 (groups, kept inputs)."""
        return self.kept.nonzero()[:, 1].view(len(self.kept), -1).int()

    def select_kept_weights(self, weight: Tensor) -> Tensor:
        """Return the weights of the kept inputs, group after group: (outputs, kept inputs, ...)."""
        by_group = _view_by_group(weight.detach(), len(self.kept))
        kept_inputs = self.list_kept_inputs().long()
        kept_weights = [by_group[:, group, inputs] for group, inputs in enumerate(kept_inputs)]
        return torch.cat(kept_weights).view(len(weight), -1, *weight.shape[2:])


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
        active = self.drop(functional.relu(self.norm(x)))
        return functional.conv2d(active, self.connections(self.conv.weight))

    @property
    def weight(self) -> Tensor:
        """The dense weight, dropped connections included, (outputs, inputs, 1, 1)."""
        return self.conv.weight

    def build_condensed_state(self) -> Tensors:
        """Return the state of a `SelectedGroupConv` that computes the same."""
        index = self.connections.list_kept_inputs().flatten()
        state = {"index": index, "conv.weight": self.connections.select_kept_weights(self.weight)}
        for name, tensor in self.norm.state_dict().items():
            # `num_batches_tracked` is a scalar; everything else has a value for every input.
            state[f"norm.{name}"] = tensor[index.long()] if tensor.dim() else tensor
        return state


class SelectingLayer(nn.Module):
    """A layer that sees some of its `inputs`: those in the int32 `index` of its state dict."""

    index: Tensor

    def __init__(self, inputs: int, index: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("index", index.int())

    @property
    def has_valid_index(self) -> bool:
        """Whether all of `index` are inputs."""
        in_range = (self.index >= 0) & (self.index < self.inputs)
        return bool(in_range.all())

    def select_inputs(self, x: Tensor) -> Tensor:
        """Map (N, inputs, …) to (N, selected, …)."""
        return x.index_select(1, self.index)


class SelectedGroupConv(SelectingLayer):
    """Selects inputs, then batch normalisation, ReLU, dropout, a grouped 1x1 convolution and a shuffle.

    Until weights are loaded, each group has neighbouring inputs, as in an ordinary group convolution. An input may be
    selected by several groups, or by none.
    """

    def __init__(self, inputs: int, outputs: int, groups: int, condensation: int, rate: float) -> None:
        first_inputs = torch.arange(groups) * inputs // groups
        offsets = torch.arange(inputs // condensation)
        index = (first_inputs[:, None] + offsets) % inputs
        super().__init__(inputs, index.flatten())
        self.norm, self.drop = nn.BatchNorm2d(len(self.index)), build_dropout(rate)
        self.conv = nn.Conv2d(len(self.index), outputs, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W); output j of group g comes at place j * groups + g."""
        active = self.drop(functional.relu(self.norm(self.select_inputs(x))))
        by_group = self.conv(active).unflatten(1, (self.conv.groups, -1))
        return cast(Tensor, by_group.transpose(1, 2).flatten(1, 2))


class LearnedLinear(nn.Module):
    """A linear layer that loses inputs, the same ones for all outputs."""

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

    def build_condensed_state(self) -> Tensors:
        """Return the state of a `SelectedLinear` that computes the same."""
        return {
            "index": self.connections.list_kept_inputs().flatten(),
            "linear.weight": self.connections.select_kept_weights(self.weight),
            "linear.bias": self.linear.bias.detach(),
        }


class SelectedLinear(SelectingLayer):
    """A linear layer on some of its inputs: the first ones, until weights are loaded."""

    def __init__(self, inputs: int, outputs: int, condensation: int) -> None:
        super().__init__(inputs, torch.arange(inputs // condensation))
        self.linear = nn.Linear(inputs // condensation, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        return cast(Tensor, self.linear(self.select_inputs(x)))
