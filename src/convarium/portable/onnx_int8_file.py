"""Static 8-bit integers: weights by channel, activations by what images of validation gave.

onnxruntime's quantize_static in the QDQ form (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html),
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

CALIBRATION_BATCH_SIZE = 32
PRODUCT_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def write_onnx_int8(float_path: Path, images: NDArray[np.float32], path: Path) -> None:
    """Write the int8 form of a float32 ONNX file (`portable.onnx_file.write_onnx`).

    Args:
        images: (N, C, H, W), normalised, of validation: the range of each activation is that of these images.

    Raises:
        UserError: it can't be quantised, or there is nothing to quantise.
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
    """Return the names of a file's tensors that have a grid or a codebook, in place of which int8 comes."""
    return [name for name, form in sites.items() if _find_innermost_spec(form.to_spec())["kind"] != Dense.kind]


def _find_innermost_spec(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return _find_innermost_spec(spec["inner"]) if "inner" in spec else spec


def _has_weights(path: Path) -> bool:
    """Return whether a product of the graph has a factor that is stored."""
    import onnx

    graph = onnx.load(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    return any(node.op_type in PRODUCT_OPERATORS and stored & set(node.input) for node in graph.node)


def _quantize_model(float_path: Path, ready: Path, images: NDArray[np.float32], path: Path) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(float_path), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(path),
        _CalibrationReader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


class _CalibrationReader:
    """Gives batches of images to onnxruntime's calibration, then None."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            np.ascontiguousarray(images[start : start + CALIBRATION_BATCH_SIZE])
            for start in range(0, len(images), CALIBRATION_BATCH_SIZE)
        )

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the input's name."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}
