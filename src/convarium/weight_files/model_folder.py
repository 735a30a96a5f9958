"""A folder of weights: as Hugging Face keeps a model, shards, or any folder with one weights file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.weight_files.advice import SAVE_ADVICE
from convarium.weight_files.safetensors_files import INDEX_SUFFIX, SHARD_NAME

# As Hugging Face's libraries look for them.
WEIGHTS_NAMES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".cvm", ".pkl")
OTHER_FORMATS = {
    ".metadata": "of torch.distributed.checkpoint: python -m torch.distributed.checkpoint.format_utils dcp_to_torch"
    " FOLDER weights.pth makes one file of it",
    "zero_to_fp32.py": "of DeepSpeed: python zero_to_fp32.py FOLDER weights.pth, which lies in it, makes one file",
    "saved_model.pb": f"a SavedModel of TensorFlow: load the network in PyTorch, and {SAVE_ADVICE}",
    "tf_model.h5": f"a model of TensorFlow: load the network in PyTorch, and {SAVE_ADVICE}",
    "flax_model.msgpack": f"a model of Flax: load the network in PyTorch, and {SAVE_ADVICE}",
}


@dataclass(frozen=True)
class ModelConfig:
    """What a `config.json` beside weights says.

    Attributes:
        library: timm or transformers.
        name: of the architecture, as the library calls it.
        mean, std: by which images are normalised, where it is said.
    """

    library: str
    name: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def find_weights_file(folder: Path) -> Path:
    """Return the file of a folder that holds its weights, or the index of its shards.

    Raises:
        UserError: there is none, or there are several and none is called as usual.
    """
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    for name, description in OTHER_FORMATS.items():
        if (folder / name).exists():
            raise UserError(f"{folder} is a folder {description}")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    indices = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
    weights = indices or [path for path in files if path.suffix.lower() in WEIGHTS_SUFFIXES]
    shards = [path for path in weights if SHARD_NAME.fullmatch(path.name)]
    if len(weights) == 1 or (shards and len(shards) == len(weights)):
        return weights[0]
    if weights:
        names = ", ".join(path.name for path in weights[:4])
        raise UserError(f"{folder} is a folder with {len(weights)} weights files ({names}): name one of them")
    raise UserError(f"{folder} is a folder without weights: expected model.safetensors or pytorch_model.bin in it")


def read_model_config(folder: Path) -> ModelConfig | None:
    """Return what `config.json` says, None where there is none or it is of another kind."""
    config = _read_json(folder / "config.json")
    if isinstance(config.get("architecture"), str):
        given = config.get("pretrained_cfg")
        normalisation = given if isinstance(given, dict) else config
        mean, std = _find_numbers(normalisation, "mean"), _find_numbers(normalisation, "std")
        return ModelConfig("timm", config["architecture"], mean, std)
    if isinstance(config.get("model_type"), str):
        images = _read_json(folder / "preprocessor_config.json")
        classes = config.get("architectures")
        name = str(classes[0]) if isinstance(classes, list) and classes else config["model_type"]
        return ModelConfig(
            "transformers", name, _find_numbers(images, "image_mean"), _find_numbers(images, "image_std")
        )
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _find_numbers(values: dict[str, Any], key: str) -> tuple[float, ...] | None:
    numbers = values.get(key)
    if not isinstance(numbers, list) or not numbers:
        return None
    are_numbers = all(isinstance(number, int | float) for number in numbers)
    return tuple(float(number) for number in numbers) if are_numbers else None
