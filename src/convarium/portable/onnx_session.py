"""An ONNX file, run by onnxruntime on the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError

ImageArray = NDArray[np.float32]
ERROR_LOG_SEVERITY = 3


def load_onnx_runner(path: Path, threads: int) -> Callable[[ImageArray], ImageArray]:
    """Load an ONNX file of one input and one output; return a call from images (N, C, H, W) to logits (N, classes).

    Args:
        threads: within an operator; operators run one after the other.

    Raises:
        UserError: onnxruntime can't load it.
    """
    loaded = _open_session(path, threads)
    given, returned = loaded.get_inputs()[0].name, loaded.get_outputs()[0].name

    def run(images: ImageArray) -> ImageArray:
        logits: ImageArray = loaded.run([returned], {given: images})[0]
        return logits

    return run


def _open_session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERROR_LOG_SEVERITY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: onnxruntime can't load it: {said}") from None
