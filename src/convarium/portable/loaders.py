"""Loading a network file of any of the formats, the way a server would."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.portable.file_format import CVM, ONNX, SAFETENSORS, TORCH_EXPORT, detect_format

ForwardFunction = Callable[[Tensor], Tensor]


def load(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file, or one that `convarium export --format safetensors` wrote, as a plain network in eval mode.

    Needs torch only (and timm or torchvision for their networks). Safe for files of unknown origin: no code of the
    file is run.

    Args:
        allow: outside packages that may be imported where the file names them, for instance for its architecture.

    Raises:
        ValueError: the file can't be read, is foreign, damaged or altered; the message is one line.
    """
    format_name = detect_format(Path(path))
    if format_name == CVM:
        from convarium.cvm import container

        return container.load_cvm(path, allow)
    if format_name == SAFETENSORS:
        from convarium.portable import safetensors_file

        return safetensors_file.read_safetensors(Path(path), allow)
    raise UserError(
        f"{path} is {format_name}, which onnxruntime or torch.export loads; convarium.load reads cvm and safetensors"
    )


def load_forward(path: Path, threads: int, allow: Iterable[str] = ()) -> ForwardFunction:
    """Load a file with the reader of its format: onnxruntime, torch.export, or `load`.

    Args:
        threads: of onnxruntime, within an operator.
        allow: as in `load`.

    Returns:
        A function from images (N, C, H, W), normalised, to logits (N, classes).

    Raises:
        UserError: the file can't be loaded.
    """
    format_name = detect_format(path)
    if format_name == ONNX:
        return _load_onnx_forward(path, threads)
    if format_name == TORCH_EXPORT:
        from convarium.portable import torch_export_file

        return torch_export_file.load_torch_export(path)
    return load(path, allow)


def _load_onnx_forward(path: Path, threads: int) -> ForwardFunction:
    from convarium.portable.onnx_session import load_onnx_runner

    run_session = load_onnx_runner(path, threads)

    def compute_logits(images: Tensor) -> Tensor:
        image_array = images.cpu().contiguous().numpy()
        return torch.from_numpy(run_session(image_array))

    return compute_logits
