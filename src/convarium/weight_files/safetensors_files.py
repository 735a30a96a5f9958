"""Tensors of safetensors: one file, or the shards that an index or their own names tell of."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from convarium.errors import UserError
from convarium.weight_files.torch_checkpoint import format_first_sentence

INDEX_SUFFIX = ".index.json"
SHARD_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")  # as Hugging Face names them


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file.

    Raises:
        UserError: it is damaged or cut off.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        reason = format_first_sentence(error)
        raise UserError(f"{path} is not a valid safetensors file, or is cut off: {reason}") from None


def read_index(path: Path) -> list[Path]:
    """Return the files that an index names, which lie beside it.

    Raises:
        UserError: it can't be read, names no files, or one that is not there or lies elsewhere.
    """
    names = _read_shard_names(path)
    for name in names:
        if Path(name).name != name:
            raise UserError(f"{path} names the file {name!r}, which does not lie beside it")
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise UserError(f"{path} names {len(names)} files; missing: {', '.join(missing[:3])}")
    return [path.parent / name for name in names]


def find_sibling_shards(path: Path) -> list[Path]:
    """Return all shards of which a file is one by its name (`model-00001-of-00003.safetensors`), or the file alone.

    Raises:
        UserError: one of them is missing.
    """
    match = SHARD_NAME.fullmatch(path.name)
    if match is None:
        return [path]
    stem, _, count, suffix = match.groups()
    shards = [path.with_name(f"{stem}-{number:05d}-of-{count}{suffix}") for number in range(1, int(count) + 1)]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise UserError(f"{path} is one of {int(count)} files; missing: {', '.join(missing[:3])}")
    return shards


def merge_shards(shards: Sequence[tuple[Path, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Return the tensors of all shards.

    Raises:
        UserError: two of them hold a tensor of one name.
    """
    tensors: dict[str, Tensor] = {}
    for path, held in shards:
        if twice := tensors.keys() & held.keys():
            raise UserError(f"{path} holds {min(twice)}, which another of its shards holds too")
        tensors |= held
    return tensors


def _read_shard_names(path: Path) -> list[str]:
    try:
        index: Any = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is not an index of shards: expected a weight_map from tensors to files") from None
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} is not an index of shards: its weight_map names no files")
    return names
