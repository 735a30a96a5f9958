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

from convarium.compression.representations.base import Representation
from convarium.compression.representations.dense import Dense
from convarium.errors import UserError
from convarium.portable.onnx import INPUT
from convarium.portable.silence import first_line, silence

AT_ONCE = 32
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def write(float_path: Path, images: NDArray[np.float32], path: Path) -> None:
    """Write the int8 form of a float32 ONNX file (`portable.onnx.write`).

    Args:
        images: (N, C, H, W), normalised, of validation: the range of each activation is that of these images.

    Raises:
        UserError: it can't be quantised, or there is nothing to quantise.
    """
    if not _has_weights(float_path):
        raise UserError("int8: there is nothing to quantise, the network has no convolution and no linear layer")
    try:
        with silence(), TemporaryDirectory() as folder:
            _quantised(float_path, Path(folder) / "ready.onnx", images, path)
    except Exception as error:
        path.unlink(missing_ok=True)
        raise UserError(f"onnxruntime can't quantise this network: {first_line(error)}") from None


def requantized(sites: Mapping[str, Representation]) -> list[str]:
    """Return the names of a file's tensors that have a grid or a codebook, in place of which int8 comes."""
    return [name for name, form in sites.items() if _innermost(form.spec())["kind"] != Dense.kind]


def _innermost(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return _innermost(spec["inner"]) if "inner" in spec else spec


def _has_weights(path: Path) -> bool:
    """Return whether a product of the graph has a factor that is stored."""
    import onnx

    graph = onnx.load(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    return any(node.op_type in PRODUCTS and stored & set(node.input) for node in graph.node)


def _quantised(float_path: Path, ready: Path, images: NDArray[np.float32], path: Path) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(float_path), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(path),
        _Reader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


class _Reader:
    """Gives batches of images to onnxruntime's calibration, then None."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            np.ascontiguousarray(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)
        )

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the input's name."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
