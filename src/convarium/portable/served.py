"""A file of any of the formats, loaded the way a server would."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.portable.content import CVM, ONNX, SAFETENSORS, TORCH_EXPORT, kind

Network = Callable[[Tensor], Tensor]


def load(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file, or what `convarium export --format safetensors` wrote, as a plain network in eval mode.

    Needs torch (and timm or torchvision for networks of theirs), and no trust in where the file comes from: no code of
    it is run. A file may name nouns of outside packages, such as an architecture: `allow` says which may be imported.

    Raises:
        ValueError: the file can't be read, or is foreign, damaged or altered; said in one line.
    """
    found = kind(Path(path))
    if found == CVM:
        from convarium.compression.file import container

        return container.load(path, allow)
    if found == SAFETENSORS:
        from convarium.portable import safetensors

        return safetensors.read(Path(path), allow)
    raise UserError(
        f"{path} is {found}, which onnxruntime or torch.export loads; convarium.load reads cvm and safetensors"
    )


def serve(path: Path, threads: int, allow: Iterable[str] = ()) -> Network:
    """Load a file by what reads its format: onnxruntime, torch.export, or `load`.

    Returns:
        A call from images (N, C, H, W), normalised, to logits (N, classes).

    Raises:
        UserError: it can't be loaded.
    """
    found = kind(path)
    if found == ONNX:
        return _by_onnxruntime(path, threads)
    if found == TORCH_EXPORT:
        from convarium.portable import torch_export

        return torch_export.read(path)
    return load(path, allow)


def _by_onnxruntime(path: Path, threads: int) -> Network:
    from convarium.portable.session import session

    run = session(path, threads)
    return lambda images: torch.from_numpy(run(images.cpu().contiguous().numpy()))
