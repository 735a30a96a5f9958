"""Which layers two others can take the place of: not those that the network reads, or calls, by another way too."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from convarium.architectures.unsaved_tensors import copy_to_meta
from convarium.compression.structure import cuttable_groups
from convarium.edits import factor


def find_splittable_layers(network: nn.Module, names: Sequence[str], form: str, shape: Sequence[int]) -> list[str]:
    """Return the names of the layers without which, split in two, the network still runs; tried on the meta device.

    Args:
        network: on any device, with representations or without; left as it is.
        names: of layers that `factor.is_factorable`.
        form: of `factor`.
        shape: of an image, (channels, height, width).
    """
    meta = copy_to_meta(cuttable_groups.copy_plain_network(network))
    images = torch.empty(2, *shape, device="meta")
    outputs = cuttable_groups.compute_output(meta, images).shape

    def works(chosen: Sequence[str]) -> bool:
        split = deepcopy(meta)
        for name in chosen:
            split.get_submodule(name).register_forward_pre_hook(_raise_still_called)
        factor.apply_edit(split, {"op": "factor", "form": form, "ranks": dict.fromkeys(chosen, 1)})
        return cuttable_groups.compute_output(split, images).shape == outputs

    return cuttable_groups.select_working_subset(list(names), works)


def _raise_still_called(layer: nn.Module, _inputs: Any) -> None:
    """Stop a network that still calls a layer in whose place there are two: it holds it by another way, too."""
    raise RuntimeError(f"{type(layer).__name__} is still called")
