"""A plain network as ONNX: input "images", output "logits", any number of images at once.

Made by torch.onnx's exporter on torch.export (https://docs.pytorch.org/docs/stable/onnx_export.html).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.errors import UserError
from convarium.portable.card import Card
from convarium.portable.graph import example, plain
from convarium.portable.silence import first_line, silence

OPSET = 20
INPUT, OUTPUT = "images", "logits"


def write(network: nn.Module, shape: Sequence[int], path: Path) -> None:
    """Write a plain, decoded network in eval mode as float32 ONNX of operator set OPSET, weights inside.

    Args:
        network: without representations (`container.network`).
        shape: of one image, (channels, height, width).
        path: the file. Its input is INPUT, float32 (N, *shape), normalised; its output OUTPUT, float32 (N, classes).

    Raises:
        UserError: ONNX can't hold it, such as a network whose way depends on its data.
    """
    import onnx

    plain(network)
    try:
        with silence():
            model = _exported(network.eval(), shape)
    except Exception as error:
        raise UserError(f"ONNX can't hold this network: {first_line(error)}") from None
    _forget_source(model)
    try:
        onnx.save(model, path)
    except ValueError as error:  # protobuf's own limit of 2 GiB
        raise UserError(f"ONNX can't hold this network in one file: {first_line(error)}") from None


def describe(path: Path, card: Card) -> None:
    """Write a card into an ONNX file, as its metadata properties."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, card.texts())
    onnx.save(model, path)


def _exported(network: nn.Module, shape: Sequence[int]) -> Any:
    images, dynamic = example(shape)
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            images,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _forget_source(model: Any) -> None:
    """Take out where in whose source each node comes from: paths of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        for part in (function, *function.node):
            del part.metadata_props[:]
