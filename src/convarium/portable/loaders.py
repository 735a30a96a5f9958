"""A file of any of the formats, loaded the way a server would."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.portable.file_format import CVM, ONNX, SAFETENSORS, TORCH_EXPORT, detect_format

ForwardFunction = Callable[[Tensor], Tensor]


def load(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file, or what `convarium export --format safetensors` wrote, as a plain network in eval mode.

    Needs torch (and timm or torchvision for networks of theirs), and no trust in where the file comes from: no code of
    it is run. A file may name nouns of outside packages, such as an architecture: `allow` says which may be imported.

    Raises:
        ValueError: the file can't be read, or is foreign, damaged or altered; said in one line.
    """
    found = detect_format(Path(path))
    if found == CVM:
        from convarium.cvm import container

        return container.load_cvm(path, allow)
    if found == SAFETENSORS:
        from convarium.portable import safetensors_file

        return safetensors_file.read_safetensors(Path(path), allow)
    raise UserError(
        f"{path} is {found}, which onnxruntime or torch.export loads; convarium.load reads cvm and safetensors"
    )


def load_forward(path: Path, threads: int, allow: Iterable[str] = ()) -> ForwardFunction:
    """Load a file by what reads its format: onnxruntime, torch.export, or `load`.

    Returns:
        A call from images (N, C, H, W), normalised, to logits (N, classes).

    Raises:
        UserError: it can't be loaded.
    """
    found = detect_format(path)
    if found == ONNX:
        return _load_onnx_forward(path, threads)
    if found == TORCH_EXPORT:
        from convarium.portable import torch_export_file

        return torch_export_file.load_torch_export(path)
    return load(path, allow)


def _load_onnx_forward(path: Path, threads: int) -> ForwardFunction:
    from convarium.portable.onnx_session import load_onnx_runner

    run = load_onnx_runner(path, threads)
    return lambda images: torch.from_numpy(run(images.cpu().contiguous().numpy()))
