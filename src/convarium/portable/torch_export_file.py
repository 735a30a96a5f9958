"""A plain network as a program of torch.export, .pt2, for batches of any size.

https://docs.pytorch.org/docs/stable/export.html. Loading a program runs code that torch generates from it: load only
files that you trust.
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
    """Write a plain, decoded network; its card is the extra file CARD_FILE_NAME.

    Args:
        network: without representations (`container.materialise_network`); it is set to eval mode.
        shape: of one image, (channels, height, width).

    Raises:
        UserError: the network has representations attached, or torch.export can't trace it, for instance because its
            control flow depends on the images.
    """
    check_unparametrized(network)
    images, dynamic_shapes = build_trace_arguments(shape)
    data = BytesIO()
    try:
        with suppress_output(), torch.no_grad():
            program = torch.export.export(network.eval(), images, dynamic_shapes=dynamic_shapes)
            _remove_stack_traces(program)
            extra_files = {CARD_FILE_NAME: json.dumps(file_card.format_metadata())}
            torch.export.save(program, data, extra_files=extra_files)
    except Exception as error:
        raise UserError(f"torch.export can't trace this network: {format_root_cause(error)}") from None
    path.write_bytes(data.getbuffer())


def load_torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a program as a function from images (N, C, H, W), normalised, to logits (N, classes).

    Raises:
        UserError: torch.export can't load the file.
    """
    try:
        with suppress_output():
            return torch.export.load(path).module()
    except Exception as error:
        raise UserError(f"{path}: torch.export can't load it: {format_root_cause(error)}") from None


def _remove_stack_traces(program: torch.export.ExportedProgram) -> None:
    """Remove the source lines that torch notes at each node: they hold paths of this machine."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
