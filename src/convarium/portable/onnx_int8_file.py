"""An ONNX file quantised statically to 8-bit integers: weights by channel, activations by validation images.

By onnxruntime's quantize_static in the QDQ form (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html),
after its own pre-processing (shapes inferred, batch norms folded into the convolutions before them).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError
from convarium.portable.exporter_output import format_root_cause, suppress_output
from convarium.portable.onnx_file import INPUT_NAME
from convarium.representations.base import Representation
from convarium.representations.dense import Dense

CALIBRATION_BATCH_SIZE = 32  # images; it bounds memory, the range of an activation is that of all batches
PRODUCT_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def write_onnx_int8(float_path: Path, images: NDArray[np.float32], path: Path) -> None:
    """Write the int8 form of a float32 ONNX file (`portable.onnx_file.write_onnx`).

    Args:
        images: validation images for calibration, (N, C, H, W), normalised; each activation's range is taken from them.

    Raises:
        UserError: onnxruntime can't quantise the network, or it has nothing to quantise.
    """
    if not _has_weights(float_path):
        raise UserError("int8: there is nothing to quantise, the network has no convolution and no linear layer")
    try:
        with suppress_output(), TemporaryDirectory() as folder:
            _quantize_model(float_path, Path(folder) / "ready.onnx", images, path)
    except Exception as error:
        path.unlink(missing_ok=True)
        raise UserError(f"onnxruntime can't quantise this network: {format_root_cause(error)}") from None


def find_requantized_tensors(sites: Mapping[str, Representation]) -> list[str]:
    """Return the names of a file's tensors that have a grid or a codebook of their own, which int8 replaces.

    Args:
        sites: representation by tensor name (`container.CompressedFile.sites`).
    """
    names = []
    for name, representation in sites.items():
        spec = representation.to_spec()
        while "inner" in spec:  # a sparse tensor's values, for instance, have a representation of their own
            spec = spec["inner"]
        if spec["kind"] != Dense.kind:
            names.append(name)
    return names


def _has_weights(path: Path) -> bool:
    """Return whether a convolution or matrix product of the graph takes a stored tensor."""
    import onnx

    graph = onnx.load(path).graph
    stored_names = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in PRODUCT_OPERATORS]
    return any(stored_names.intersection(node.input) for node in products)


def _quantize_model(float_path: Path, preprocessed_path: Path, images: NDArray[np.float32], path: Path) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(float_path), str(preprocessed_path), skip_symbolic_shape=True)
    quantize_static(
        str(preprocessed_path),
        str(path),
        _CalibrationReader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


class _CalibrationReader:
    """Source of image batches in the shape of onnxruntime's CalibrationDataReader."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            np.ascontiguousarray(images[start : start + CALIBRATION_BATCH_SIZE])
            for start in range(0, len(images), CALIBRATION_BATCH_SIZE)
        )

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the name of the input, None after the last."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        return {INPUT_NAME: batch}
