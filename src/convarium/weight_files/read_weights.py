"""Read the tensors of a file or folder: safetensors, a torch checkpoint, or a dense `.cvm`; no code of it is run."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from convarium.architectures.weights import Weights
from convarium.errors import UserError
from convarium.weight_files import file_kinds
from convarium.weight_files.model_folder import ModelConfig, find_weights_file, read_model_config
from convarium.weight_files.safetensors_files import (
    INDEX_SUFFIX,
    find_sibling_shards,
    merge_shards,
    read_index,
    read_safetensors,
)
from convarium.weight_files.state_dicts import select_part, select_state_dict
from convarium.weight_files.torch_checkpoint import read_checkpoint


def read_weights(path: str | Path, key: str | None = None) -> Weights:
    """Read a file by its content, whatever its name, the shards of an index, or a folder of such.

    Args:
        path: of the file or folder.
        key: which of the state dicts of a torch checkpoint; those that lie deeper are named by keys joined by dots.

    Raises:
        UserError: it can't be read, is not a weights file, or is a pickle that would run something; it holds
            nothing at the key, or without one several state dicts of which none is the usual one.
    """
    path = Path(path)
    if path.is_dir():
        weights = read_weights(find_weights_file(path), key)
        return _add_model_config(weights, read_model_config(path))
    files = _list_files(path)
    if len(files) > 1:
        return _read_shards(files, key)
    return _read_file(files[0], key)


def _list_files(path: Path) -> list[Path]:
    """Return the files of which a path is the index or one; one that is not there is told of where it is read."""
    if path.name.endswith(INDEX_SUFFIX):
        return read_index(path)
    return find_sibling_shards(path) if path.is_file() else [path]


def _read_file(path: Path, key: str | None) -> Weights:
    kind = file_kinds.detect_kind(path)
    if kind == file_kinds.SAFETENSORS:
        return _read_safetensors_file(path, key)
    if kind == file_kinds.NETWORK_FILE:
        if key is not None:
            raise _build_no_choice_error(path, key)
        return _read_network_file(path)
    tensors, notes = select_state_dict(read_checkpoint(path, kind == file_kinds.TORCH_ZIP), str(path), key)
    return Weights(tensors, tuple(notes))


def _read_safetensors_file(path: Path, key: str | None) -> Weights:
    tensors = read_safetensors(path)
    if key is None:
        return Weights(tensors)
    part = select_part(tensors, key)
    if not part:
        raise _build_no_choice_error(path, key)
    return Weights(part, (f"taken from the names that begin with '{key}.'",))


def _build_no_choice_error(path: Path, key: str) -> UserError:
    return UserError(f"--from {key} chooses among the state dicts of a torch checkpoint, {path} is none")


def _read_shards(files: list[Path], key: str | None) -> Weights:
    shards: list[tuple[Path, dict[str, Tensor]]] = [(file, _read_file(file, key).tensors) for file in files]
    return Weights(merge_shards(shards), (f"read from {len(files)} shards",))


def _read_network_file(path: Path) -> Weights:
    from convarium.cvm import container
    from convarium.representations.dense import Dense

    file = container.read_cvm(path)
    represented = [name for name, found in file.sites.items() if not isinstance(found, Dense)]
    if represented or file.header["surgery"]:
        what = represented[0] if represented else "its structure"
        raise UserError(f"{path} is compressed ({what}): adopt a dense network, then compress it")
    images = file.header["input"]
    weights = Weights(
        container.materialise_network(file).state_dict(), mean=tuple(images["mean"]), std=tuple(images["std"])
    )
    if "value_range" in images:
        return replace(weights, value_range=tuple(images["value_range"]))
    return weights


def _add_model_config(weights: Weights, config: ModelConfig | None) -> Weights:
    """Remember what a model's folder tells: what network it says that it is, and how its images are normalised."""
    if config is None:
        return weights
    return replace(weights, model=(config.library, config.name), mean=config.mean, std=config.std)
