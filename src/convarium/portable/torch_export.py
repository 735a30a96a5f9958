"""A plain network as a program of torch.export, .pt2, for any number of images at once.

https://docs.pytorch.org/docs/stable/export.html. Loading one runs code that torch makes of it: load your own.
"""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.portable import card
from convarium.portable.content import EXTRA
from convarium.portable.graph import example, plain
from convarium.portable.silence import first_line, silence


def write(network: nn.Module, shape: Sequence[int], described: card.Card, path: Path) -> None:
    """Write a plain, decoded network in eval mode; its card is the extra file EXTRA.

    Raises:
        UserError: torch.export can't trace it, such as a network whose way depends on its data.
    """
    plain(network)
    images, dynamic = example(shape)
    data = BytesIO()
    try:
        with silence(), torch.no_grad():
            program = torch.export.export(network.eval(), images, dynamic_shapes=dynamic)
            _forget_source(program)
            torch.export.save(program, data, extra_files={EXTRA: json.dumps(described.texts())})
    except Exception as error:
        raise UserError(f"torch.export can't trace this network: {first_line(error)}") from None
    path.write_bytes(data.getbuffer())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a program; return it as a call from images (N, C, H, W) to logits (N, classes).

    Raises:
        UserError: it can't be loaded.
    """
    try:
        with silence():
            return torch.export.load(path).module()
    except Exception as error:
        raise UserError(f"{path}: torch.export can't load it: {first_line(error)}") from None


def _forget_source(program: torch.export.ExportedProgram) -> None:
    """Take out where in whose source each node comes from: paths of this machine."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
