"""A plain network as an ONNX file with the input "images" and the output "logits", for batches of any size.

Written by torch.onnx's exporter that builds on torch.export (https://docs.pytorch.org/docs/stable/onnx_export.html).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.errors import UserError
from convarium.portable.exporter_output import format_root_cause, suppress_output
from convarium.portable.model_card import ModelCard
from convarium.portable.tracing import build_trace_arguments, check_unparametrized

ONNX_OPSET = 20  # documented in docs/how-to/export.md
INPUT_NAME, OUTPUT_NAME = "images", "logits"


def write_onnx(network: nn.Module, shape: Sequence[int], path: Path) -> None:
    """Write a plain, decoded network as float32 ONNX of operator set ONNX_OPSET, weights inside the file.

    Args:
        network: without representations (`container.materialise_network`); it is set to eval mode.
        shape: of one image, (channels, height, width).
        path: the file. Its input is INPUT_NAME, float32 (N, *shape), normalised; its output OUTPUT_NAME, float32 (N,
            classes).

    Raises:
        UserError: the network has representations attached, or ONNX can't hold it, for instance because its control
            flow depends on the images.
    """
    import onnx

    check_unparametrized(network)
    try:
        with suppress_output():
            model = _export_onnx_model(network.eval(), shape)
    except Exception as error:
        raise UserError(f"ONNX can't hold this network: {format_root_cause(error)}") from None
    _remove_source_paths(model)
    try:
        onnx.save(model, path)
    except ValueError as error:  # protobuf's own limit of 2 GiB
        raise UserError(f"ONNX can't hold this network in one file: {format_root_cause(error)}") from None


def write_onnx_card(path: Path, card: ModelCard) -> None:
    """Add a card to an ONNX file as its metadata properties."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, card.format_metadata())
    onnx.save(model, path)


def _export_onnx_model(network: nn.Module, shape: Sequence[int]) -> Any:
    images, dynamic_shapes = build_trace_arguments(shape)
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            images,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=dynamic_shapes,
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # torch returns None only where dynamo is False
    return program.model_proto


def _remove_source_paths(model: Any) -> None:
    """Remove the source lines that the exporter notes at each node: they hold paths of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        for part in (function, *function.node):
            del part.metadata_props[:]
