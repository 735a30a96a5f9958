"""Networks that read a parameter or a buffer by another way than its name: from a list, a closure, a bound method.

What takes a tensor's place (a decoded file's values, a representation) would not be read there.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from convarium.errors import UserError
from convarium.representations import parametrization


def check_hidden_reads(network: nn.Module, name: str) -> None:
    """Give a network that was tried on the meta device (`factory.dry_run_architecture`) other tensors, and run it once
    more.

    Raises:
        UserError: it still reads one of those that were there before.
    """
    everything = network.state_dict(keep_vars=True).items()
    before = {key: tensor for key, tensor in everything if "parametrizations." not in key}
    parametrization.replace_tensors(network, {key: torch.empty_like(tensor) for key, tensor in before.items()})
    watch = _TensorReadRecorder({tensor.untyped_storage()._cdata: key for key, tensor in reversed(before.items())})
    with torch.no_grad(), watch:
        network(torch.empty(2, *vars(network)["input_shape"], device="meta"))
    if watch.last_read:
        where = f"architecture {name} reads {watch.last_read} by another way than by its name (from a list, a closure)"
        raise UserError(f"{where}, a tie that no file can hold; read self.{watch.last_read} where it is used")


class _TensorReadRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the name of the last tensor, of those in `names_by_storage`, that an operation is given."""

    def __init__(self, storages: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names_by_storage = storages
        self.last_read: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs or {})):
            if isinstance(value, Tensor):
                self.last_read = self.names_by_storage.get(value.untyped_storage()._cdata, self.last_read)
        return func(*args, **(kwargs or {}))
