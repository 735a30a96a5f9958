"""A plain network's state dict as safetensors; the header's metadata says what it is the state of.

https://huggingface.co/docs/safetensors. The metadata are a card (`portable.model_card`), with "format": "pt" as others
expect under the name `format`, so that the card's own is implied.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from convarium import lookup
from convarium.cvm import declared_network, header
from convarium.errors import UserError
from convarium.portable import file_format, model_card
from convarium.portable.exporter_output import format_root_cause
from convarium.portable.tracing import check_unparametrized
from convarium.representations import parametrization


def write_safetensors(network: nn.Module, file_card: model_card.ModelCard, path: Path) -> None:
    """Write the state dict of a plain, decoded network under its own names; tied tensors once for each name.

    Raises:
        UserError: a tensor that safetensors can't hold.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    check_unparametrized(network)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    try:
        data = save(tensors, metadata={**file_card.format_metadata(), "format": "pt"})
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"safetensors can't hold this network: {format_root_cause(error)}") from None
    path.write_bytes(data)  # save_file would make a file that only its owner can read


def read_safetensors(path: Path, allow: Iterable[str] = ()) -> nn.Module:
    """Build the network that the metadata describe, plain and in eval mode, with the tensors of the file.

    Args:
        allow: outside packages whose architectures and edits it may name.

    Raises:
        UserError: the file is damaged, or doesn't say what it is, or its tensors are not those of its network.
    """
    described = model_card.parse_model_card(file_format.read_metadata(path), str(path))
    try:
        with lookup.allow_packages(tuple(allow)):
            header.check_header(described.header)
            tensors = _load_expected_tensors(path, declared_network.list_expected_tensors(described.header))
            bare = declared_network.build_declared_network(described.header)
    except UserError as error:
        raise UserError(f"{path} is not a network of convarium export: {error}") from None
    with torch.no_grad():
        parametrization.replace_tensors(bare, tensors)
    return bare.eval()


def _load_expected_tensors(path: Path, expected: Mapping[str, declared_network.ExpectedTensor]) -> dict[str, Tensor]:
    """Return the tensors that a network needs; a tied one goes by the first of its names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(format_root_cause(error)) from None
    for name, wanted in expected.items():
        tensor = found.get(name)
        if tensor is None or tuple(tensor.shape) != tuple(wanted.shape) or tensor.dtype != wanted.dtype:
            raise UserError(f"its tensor {name} is missing or of another shape or type")
    return {name: found[name] for name in expected}
