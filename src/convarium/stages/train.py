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


def train(stage_config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Train an architecture on a dataset by a recipe and write it as `network.cvm` (see `TrainConfig`).

    One that condenses while it is trained is written as it is delivered.
    A `pretrained` one begins with the library's weights, and its images are normalised as theirs were.

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

    torch.manual_seed(derive_seed(stage_config["seed"], "init"))
    begun = {key: value for key, value in stage_config["architecture"].items() if key != "pretrained"}
    network, dataset = factory.build_architecture(begun), dict(stage_config["dataset"])
    if "pretrained" in stage_config["architecture"]:
        dataset |= _load_pretrained_weights(network, begun)
        stage_config = {**stage_config, "architecture": begun}
    splits = load_splits(dataset, runtime.data_root, ("train", "validation"), runtime.cache_folder)
    train_by_recipe(network, splits, stage_config, runtime)
    if isinstance(network, Condensing):
        network, stage_config = (
            network.build_condensed(),
            {**stage_config, "architecture": factory.condense_architecture(stage_config["architecture"])},
        )
    container.write_cvm(runtime.files.network, network, build_file_header(stage_config, splits), {})
    return {"metrics": {}, "skipped": dict(splits.skipped)}


def _load_pretrained_weights(network: Any, architecture: Mapping[str, Any]) -> dict[str, list[float]]:
    """Give the network its library's weights; return the normalisation that they were trained with."""
    from convarium.architectures import factory
    from convarium.architectures.weights import match_weights

    weights = factory.fetch_pretrained(architecture)
    found = match_weights(weights, network, f"the pretrained {architecture['name']}", new_head=True)
    network.load_state_dict(found.tensors, strict=False)
    return {"mean": list(weights.mean), "std": list(weights.std)} if weights.mean and weights.std else {}


def train_by_recipe(network: Any, splits: Any, stage_config: Mapping[str, Any], runtime: Runtime) -> None:
    """Train a plain network by `stage_config["recipe"]`, from where an earlier owner was stopped."""
    from convarium.architectures.condensing import Condensing
    from convarium.tasks.fit import fit_network
    from convarium.tasks.fit_job import FitJob

    job = FitJob(
        task=stage_config["task"],
        checkpoint=runtime.checkpoint_folder / "train.ckpt",
        structure={},
        seed=stage_config["seed"],
        terms=[lambda batch: network.penalty()] if isinstance(network, Condensing) else [],
    )
    fit_network(network, splits, stage_config["recipe"], job, runtime.name_phase("train"))


def build_file_header(stage_config: Mapping[str, Any], splits: Any) -> dict[str, Any]:
    """What a reader of the file must know about the network and its input."""
    architecture, dataset = stage_config["architecture"], stage_config["dataset"]
    size, named = architecture["img_size"], "class_names" in dataset
    is_wide = "value_range" in dataset and dataset["value_range"] is not None
    scaled = {"value_range": dataset["value_range"]} if is_wide else {}
    shape = [architecture["in_chans"], size, size]
    return {
        "architecture": dict(architecture),
        "task": stage_config["task"]["name"],
        "classes": dataset["class_names"] if named else architecture["num_classes"],
        "input": {"shape": shape, "mean": list(splits.mean), "std": list(splits.std), **scaled},
        "surgery": [],
    }
