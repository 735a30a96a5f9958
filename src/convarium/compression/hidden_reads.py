"""Detection of networks that read a parameter or buffer other than by its name: from a list, a closure, a bound method.

Such a network would go on reading the old tensor where a decoded file's values or a representation replace it.
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
    """Replace all tensors of a network, run it, and refuse it if it still reads one of the old ones.

    Args:
        network: on the meta device, from `dry_run_architecture`; keeps the new tensors.
        name: of its architecture, for the message.

    Raises:
        UserError: it reads an old tensor.
    """
    all_tensors = network.state_dict(keep_vars=True)
    old_tensors = {key: tensor for key, tensor in all_tensors.items() if "parametrizations." not in key}
    new_tensors = {key: torch.empty_like(tensor) for key, tensor in old_tensors.items()}
    parametrization.replace_tensors(network, new_tensors)
    # By storage, because a view of an old tensor counts too. Reversed, so that a tied tensor goes by its first name.
    names_by_storage = {_get_storage_id(tensor): key for key, tensor in reversed(old_tensors.items())}
    recorder = _TensorReadRecorder(names_by_storage)
    with torch.no_grad(), recorder:
        network(torch.empty(2, *vars(network)["input_shape"], device="meta"))
    if recorder.last_read:
        tensor_name = recorder.last_read
        raise UserError(
            f"architecture {name} reads {tensor_name} by another way than by its name (from a list, a closure),"
            f" a tie that no file can hold; read self.{tensor_name} where it is used"
        )


class _TensorReadRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the name of the last tensor in `names_by_storage` that any operation received.

    A dispatch mode sees every operation's inputs, also those that a network reads without attribute access.
    """

    def __init__(self, names_by_storage: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names_by_storage = names_by_storage
        self.last_read: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                self.last_read = self.names_by_storage.get(_get_storage_id(value), self.last_read)
        return func(*args, **kwargs)


def _get_storage_id(tensor: Tensor) -> int:
    # On the meta device every data pointer is 0; the address of the storage's object is not.
    storage_id: int = tensor.untyped_storage()._cdata
    return storage_id
