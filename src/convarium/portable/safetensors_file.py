"""A plain network's state dict as safetensors, with the card (`portable.model_card`) as the header's metadata.

https://huggingface.co/docs/safetensors. Other readers expect "pt" (PyTorch) under the metadata's name `format`, which
therefore replaces the card's own entry.
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
    """Write the state dict of a plain, decoded network under its own names; a tied tensor once for each name.

    Raises:
        UserError: the network has representations attached, or a tensor that safetensors can't hold.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    check_unparametrized(network)
    # Cloned: safetensors refuses tensors that share memory, as tied ones do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    try:
        metadata = {**file_card.format_metadata(), "format": "pt"}
        data = save(tensors, metadata=metadata)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"safetensors can't hold this network: {format_root_cause(error)}") from None
    path.write_bytes(data)  # save_file would make a file that only its owner can read


def read_safetensors(path: Path, allow: Iterable[str] = ()) -> nn.Module:
    """Build the network that a file's card describes, plain and in eval mode, with the file's tensors.

    Args:
        allow: outside packages whose architectures and edits the card may name.

    Raises:
        UserError: the file is damaged or has no card, or its tensors don't fit the network of its card.
    """
    file_card = model_card.parse_model_card(file_format.read_metadata(path), str(path))
    try:
        with lookup.allow_packages(tuple(allow)):
            header.check_header(file_card.header)
            expected = declared_network.list_expected_tensors(file_card.header)
            tensors = _load_expected_tensors(path, expected)
            network = declared_network.build_declared_network(file_card.header)
    except UserError as error:
        raise UserError(f"{path} is not a network of convarium export: {error}") from None
    with torch.no_grad():
        parametrization.replace_tensors(network, tensors)
    return network.eval()


def _load_expected_tensors(path: Path, expected: Mapping[str, declared_network.ExpectedTensor]) -> dict[str, Tensor]:
    """Return the tensors that a network needs, a tied one under the first of its names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(format_root_cause(error)) from None
    for name, expected_tensor in expected.items():
        tensor = stored.get(name)
        is_as_expected = (
            tensor is not None
            and tuple(tensor.shape) == tuple(expected_tensor.shape)
            and tensor.dtype == expected_tensor.dtype
        )
        if not is_as_expected:
            raise UserError(f"its tensor {name} is missing or of another shape or type")
    return {name: stored[name] for name in expected}
