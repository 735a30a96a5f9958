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
from convarium.portable import model_card
from convarium.portable.exporter_output import format_root_cause, suppress_output
from convarium.portable.file_format import CARD_FILE_NAME
from convarium.portable.tracing import build_trace_arguments, check_unparametrized


def write_torch_export(network: nn.Module, shape: Sequence[int], file_card: model_card.ModelCard, path: Path) -> None:
    """Write a plain, decoded network in eval mode; its card is the extra file EXTRA.

    Raises:
        UserError: torch.export can't trace it, such as a network whose way depends on its data.
    """
    check_unparametrized(network)
    images, dynamic = build_trace_arguments(shape)
    data = BytesIO()
    try:
        with suppress_output(), torch.no_grad():
            program = torch.export.export(network.eval(), images, dynamic_shapes=dynamic)
            _remove_stack_traces(program)
            torch.export.save(program, data, extra_files={CARD_FILE_NAME: json.dumps(file_card.format_metadata())})
    except Exception as error:
        raise UserError(f"torch.export can't trace this network: {format_root_cause(error)}") from None
    path.write_bytes(data.getbuffer())


def load_torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a program; return it as a call from images (N, C, H, W) to logits (N, classes).

    Raises:
        UserError: it can't be loaded.
    """
    try:
        with suppress_output():
            return torch.export.load(path).module()
    except Exception as error:
        raise UserError(f"{path}: torch.export can't load it: {format_root_cause(error)}") from None


def _remove_stack_traces(program: torch.export.ExportedProgram) -> None:
    """Take out where in whose source each node comes from: paths of this machine."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
