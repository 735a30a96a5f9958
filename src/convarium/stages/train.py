"""Train a dense network from its seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime


@dataclass(frozen=True)
class TrainConfig(StageConfig):
    """What a training depends on."""

    architecture: dict[str, Any]
    task: dict[str, Any]
    recipe: dict[str, Any]
    seed: int
    dataset: dict[str, Any]


STAGE = StageDeclaration("train", version=2, config=TrainConfig, makes_network=True)


def train(config: TrainConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Train an architecture on a dataset by a recipe and write the network to `network.cvm`.

    A network that condenses during training is written in its condensed form. A `pretrained` one begins with the
    library's weights, and its images are normalised as the library normalised them.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the data are missing or corrupt, the network can't be built, or its weights can't be fetched.
    """
    import torch

    from convarium.architectures import factory
    from convarium.architectures.condensing import Condensing
    from convarium.cvm import container
    from convarium.datasets.loading import load_splits
    from convarium.seeds import derive_seed

    architecture = {key: value for key, value in config.architecture.items() if key != "pretrained"}
    dataset = dict(config.dataset)
    torch.manual_seed(derive_seed(config.seed, "init"))
    network = factory.build_architecture(architecture)
    if "pretrained" in config.architecture:
        dataset |= _load_pretrained_weights(network, architecture)
    splits = load_splits(dataset, runtime.data_root, ("train", "validation"), runtime.cache_folder)
    train_by_recipe(network, splits, config.recipe, config.task, config.seed, runtime)
    if isinstance(network, Condensing):
        network = network.build_condensed()
        architecture = factory.condense_architecture(architecture)
    header = build_file_header(architecture, config.task, config.dataset, splits)
    container.write_cvm(runtime.files.network, network, header, {})
    return {"metrics": {}, "skipped": dict(splits.skipped)}


def _load_pretrained_weights(network: Any, architecture: Mapping[str, Any]) -> dict[str, list[float]]:
    """Give a network its library's weights; return mean and std that they were trained with, where the library says."""
    from convarium.architectures import factory
    from convarium.weight_files.match_weights import match_weights

    weights = factory.fetch_pretrained(architecture)
    fitting_weights = match_weights(weights, network, f"the pretrained {architecture['name']}", new_head=True)
    network.load_state_dict(fitting_weights.tensors, strict=False)
    if not weights.mean or not weights.std:
        return {}
    return {"mean": list(weights.mean), "std": list(weights.std)}


def train_by_recipe(
    network: Any, splits: Any, recipe: Mapping[str, Any], task: Mapping[str, Any], seed: int, runtime: Runtime
) -> None:
    """Train a plain network by a recipe, from the last checkpoint of an earlier owner of the stage."""
    from convarium.architectures.condensing import Condensing
    from convarium.tasks.fit import fit_network
    from convarium.tasks.fit_job import FitJob

    job = FitJob(
        task=task,
        checkpoint=runtime.checkpoint_folder / "train.ckpt",
        structure={},
        seed=seed,
        terms=[lambda batch: network.penalty()] if isinstance(network, Condensing) else [],
    )
    fit_network(network, splits, recipe, job, runtime.name_phase("train"))


def build_file_header(
    architecture: Mapping[str, Any], task: Mapping[str, Any], dataset: Mapping[str, Any], splits: Any
) -> dict[str, Any]:
    """Return what a reader of the file must know about a dense network and its input.

    Args:
        architecture: complete; `in_chans`, `img_size` and `num_classes` describe the input and the output.
        task: its name.
        dataset: `class_names` and, of images of more than 8 bits, `value_range`, where it has them.
        splits: the mean and std, by channel, by which the images were normalised.
    """
    side = architecture["img_size"]
    network_input = {
        "shape": [architecture["in_chans"], side, side],
        "mean": list(splits.mean),
        "std": list(splits.std),
    }
    if "value_range" in dataset and dataset["value_range"] is not None:
        network_input["value_range"] = dataset["value_range"]
    return {
        "architecture": dict(architecture),
        "task": task["name"],
        "classes": dataset["class_names"] if "class_names" in dataset else architecture["num_classes"],
        "input": network_input,
        "surgery": [],
    }
