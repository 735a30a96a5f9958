"""The exponential moving average of a network's weights over the steps of a fit (`recipe.final_weights: ema`)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of all floating tensors in a network's state dict: weights, and buffers such as a norm's statistics.

    Every step moves it towards the network by 1 - min(decay, (1 + step) / (10 + step)), with steps counted from 0. So
    the weights that the fit began with are soon forgotten (as TensorFlow's ExponentialMovingAverage with num_updates).

    Args:
        network: on any device; the average follows it there.
        decay: 0..1.
        state: what `copy_state` gave, to go on from; None: from the network as it is.
    """

    def __init__(self, network: nn.Module, decay: float, state: Mapping[str, Tensor] | None) -> None:
        self.network, self.decay = network, decay
        start = network.state_dict() if state is None else state
        self._averages = {name: start[name].detach().clone() for name in self._find_tensors()}
        self.collect_tensors()

    def collect_tensors(self) -> None:
        """Look up the network's tensors anew: a move to another device replaces some of them."""
        tensors = self._find_tensors()
        for name, tensor in tensors.items():
            self._averages[name] = self._averages[name].to(tensor.device)
        self._tensors = [tensors[name] for name in self._averages]

    def _find_tensors(self) -> dict[str, Tensor]:
        tensors = self.network.state_dict()
        return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._averages.values()), self._tensors, 1 - decay)

    @contextmanager
    def swap_in(self) -> Iterator[None]:
        """Let the network have the average's values meanwhile."""
        # All are set aside before one is changed: a tensor may be there under two names.
        own_values = [tensor.clone() for tensor in self._tensors]
        self._copy_values(list(self._averages.values()))
        try:
            yield
        finally:
            self._copy_values(own_values)

    @torch.no_grad()
    def _copy_values(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._tensors, values)

    def copy_state(self) -> dict[str, Tensor]:
        """Return the average on the CPU, by the names of the state dict."""
        return {name: tensor.to("cpu", copy=True) for name, tensor in self._averages.items()}
