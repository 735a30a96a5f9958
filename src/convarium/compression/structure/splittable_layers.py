"""Select the layers that can be split into two: not those that the network also reads or calls by another way."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from convarium.architectures.unsaved_tensors import copy_to_meta
from convarium.compression.structure import cuttable_groups
from convarium.edits import factor


def find_splittable_layers(network: nn.Module, names: Sequence[str], form: str, shape: Sequence[int]) -> list[str]:
    """Return the names of the layers that can all be split while the network still runs; tried on the meta device.

    Args:
        network: on any device, with or without representations; not changed.
        names: names of layers that pass `factor.is_factorable`.
        form: form of the split, as in `factor`'s edit.
        shape: shape of an image, (channels, height, width).
    """
    meta_network = copy_to_meta(cuttable_groups.copy_plain_network(network))
    images = torch.empty(2, *shape, device="meta")
    output_shape = cuttable_groups.compute_output(meta_network, images).shape

    def is_runnable(chosen: Sequence[str]) -> bool:
        split_network = deepcopy(meta_network)
        for name in chosen:
            split_network.get_submodule(name).register_forward_pre_hook(_raise_still_called)
        # Any rank would do, because only the outputs' shape is compared.
        edit = {"op": "factor", "form": form, "ranks": dict.fromkeys(chosen, 1)}
        factor.apply_edit(split_network, edit)
        return cuttable_groups.compute_output(split_network, images).shape == output_shape

    return cuttable_groups.select_working_subset(list(names), is_runnable)


def _raise_still_called(layer: nn.Module, _inputs: Any) -> None:
    # The hook is on the layer that was replaced: only a network that holds it elsewhere too can call it.
    raise RuntimeError(f"{type(layer).__name__} is still called")
