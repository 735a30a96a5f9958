"""Take weights from outside as a dense network; the stage stands in the place of training."""

from dataclasses import dataclass
from typing import Any

from convarium.planning.plan import Node
from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime

STAGED_FILE = "weights.safetensors"

Json = dict[str, Any]


@dataclass(frozen=True)
class AdoptConfig(StageConfig):
    """What adopted weights are known by.

    Attributes:
        tensors: fingerprint of the weights.
        input: mean and std by which images are normalised; of images of more than 8 bits also their value_range.
        fresh: names of the network's tensors that are not among the weights; they are drawn from `seed`.
        recipe: of a further training; None where the weights are taken as they are.
        dataset: of a further training.
    """

    architecture: dict[str, Any]
    task: dict[str, Any]
    tensors: str
    input: dict[str, Any]
    class_names: list[str] | None = None
    fresh: list[str] | None = None
    seed: int | None = None
    recipe: dict[str, Any] | None = None
    dataset: dict[str, Any] | None = None


STAGE = StageDeclaration("adopt", version=1, config=AdoptConfig, makes_network=True, is_repeatable=False)


def adopt(config: AdoptConfig, parents: tuple[Parent, ...], runtime: Runtime) -> Json:
    """Write the tensors that the command put into the checkpoint folder to `network.cvm`.

    Tensors named by `config.fresh` are drawn from its seed. With a recipe the network is trained on its dataset.

    Raises:
        StageFailed: what lies there is not what was asked for, or the loss is not a number any more.
        UserError: the data to train on are missing or corrupt.
    """
    import torch

    from convarium.architectures import factory
    from convarium.architectures.weights import fingerprint_tensors
    from convarium.cvm import container
    from convarium.datasets.loading import load_splits
    from convarium.datasets.splits import Splits
    from convarium.errors import StageFailed
    from convarium.seeds import derive_seed
    from convarium.stages.train import build_file_header, train_by_recipe

    tensors = _load_staged_tensors(runtime)
    if fingerprint_tensors(tensors) != config.tensors:
        raise StageFailed(f"the weights in {runtime.checkpoint_folder} are not those that were read; adopt them again")
    seed = config.seed or 0
    torch.manual_seed(derive_seed(seed, "init"))
    network = factory.build_architecture(config.architecture)
    network.load_state_dict(tensors, strict=False)
    splits = Splits(None, None, None, tuple(config.input["mean"]), tuple(config.input["std"]))
    if config.recipe is not None and config.dataset is not None:
        splits = load_splits(config.dataset, runtime.data_root, ("train", "validation"), runtime.cache_folder)
        train_by_recipe(network, splits, config.recipe, config.task, seed, runtime)
    header = build_file_header(config.architecture, config.task, _describe_images(config), splits)
    container.write_cvm(runtime.files.network, network, header, {})
    return {"metrics": {}, "skipped": dict(splits.skipped)}


def _describe_images(config: AdoptConfig) -> Json:
    """Return what a header says of the images: the dataset's where the weights were trained further."""
    if config.dataset is not None:
        return config.dataset
    described = {"class_names": config.class_names, "value_range": config.input.get("value_range")}
    return {key: value for key, value in described.items() if value}


def build_adopt_node(config: Json, tensors: str, fresh: tuple[str, ...], normalisation: Json, trained: bool) -> Node:
    """Return the node that adopts weights.

    Args:
        config: the point's; gives architecture, task, recipe and dataset.
        tensors: fingerprint of the weights.
        fresh: names of the network's tensors that are not among the weights; they are drawn from the point's seed.
        normalisation: mean and std by which images are normalised; of images of more than 8 bits also their
            value_range.
        trained: whether the network is then trained by the point's recipe.
    """
    is_random = bool(fresh) or trained
    dataset = {key: value for key, value in config["dataset"].items() if key != "root"}
    stage_config = AdoptConfig(
        architecture=config["architecture"],
        task=config["task"],
        tensors=tensors,
        input=normalisation,
        class_names=config["dataset"].get("class_names") or None,
        # Without anything random the seed stays out of the signature: all seeds share one adopted network.
        fresh=list(fresh) if is_random else None,
        seed=config["seed"] if is_random else None,
        recipe=config["recipe"] if trained else None,
        dataset={**dataset, **normalisation} if trained else None,
    )
    name = f"{config['architecture']['name']}-adopted"
    return Node(STAGE.name, STAGE.version, stage_config.to_json(), parents=(), fingerprint=tensors, name=name)


def _load_staged_tensors(runtime: Runtime) -> Any:
    from safetensors.torch import load_file

    from convarium.errors import StageFailed

    try:
        return load_file(runtime.checkpoint_folder / STAGED_FILE)
    except OSError:
        raise StageFailed("the weights are not there any more; adopt them again") from None
