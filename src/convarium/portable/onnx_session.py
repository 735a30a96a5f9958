"""Running an ONNX file with onnxruntime on the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError, format_first_line

ImageArray = NDArray[np.float32]
ERROR_LOG_SEVERITY = 3  # of onnxruntime: 2 is warning, 4 fatal


def load_onnx_runner(path: Path, threads: int) -> Callable[[ImageArray], ImageArray]:
    """Load an ONNX file of one input and one output.

    Args:
        threads: within an operator; operators run one after the other.

    Returns:
        A function from images (N, C, H, W), normalised, to logits (N, classes).

    Raises:
        UserError: onnxruntime can't load the file.
    """
    session = _open_session(path, threads)
    input_name = session.get_inputs()[0].name
    output_name = session.get_outputs()[0].name

    def run(images: ImageArray) -> ImageArray:
        logits: ImageArray = session.run([output_name], {input_name: images})[0]
        return logits

    return run


def _open_session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERROR_LOG_SEVERITY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"{path}: onnxruntime can't load it: {format_first_line(error)}") from None
