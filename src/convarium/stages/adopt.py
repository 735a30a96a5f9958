"""Take weights from outside as a dense network: the stage stands where training would."""

from collections.abc import Mapping
from typing import Any

from convarium.store.plan import Node
from convarium.store.runtime import Parent, Runtime

VERSION = 1
STAGED = "weights.safetensors"

Json = dict[str, Any]


def adopt(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> Json:
    """Write the tensors that were laid into `runtime.checkpoints` as `network.cvm`, trained further if so asked.

    Tensors in `own["fresh"]` are drawn from `own["seed"]`. With a `recipe` all are trained on `own["dataset"]`.

    Raises:
        StageFailed: what lies there is not what was asked for, or the loss is not a number any more.
        UserError: the data to train on are missing or corrupt.
    """
    import torch

    from convarium import datasets
    from convarium.architectures import library
    from convarium.architectures.weights import fingerprint
    from convarium.compression.file import container
    from convarium.errors import StageFailed
    from convarium.seeds import stream
    from convarium.stages.train import by_recipe, header

    tensors = _staged(runtime)
    if fingerprint(tensors) != own["tensors"]:
        raise StageFailed(f"the weights in {runtime.checkpoints} are not those that were read; adopt them again")
    torch.manual_seed(stream(own.get("seed", 0), "init"))
    network = library.build(own["architecture"])
    network.load_state_dict(tensors, strict=False)
    splits = datasets.Splits(None, None, None, tuple(own["input"]["mean"]), tuple(own["input"]["std"]))
    if "recipe" in own:
        splits = datasets.load(own["dataset"], runtime.root, ("train", "validation"), runtime.cache)
        by_recipe(network, splits, own, runtime)
    told = {"class_names": own.get("class_names"), "value_range": own["input"].get("value_range")}
    described = header({"dataset": {key: value for key, value in told.items() if value}, **own}, splits)
    container.write(runtime.folder / "network.cvm", network, described, {})
    return {"metrics": {}, "skipped": dict(splits.skipped)}


def node(config: Json, tensors: str, fresh: tuple[str, ...], given: Json, trained: bool) -> Node:
    """Return the stage that adopts weights.

    Args:
        config: the point's, for its architecture, task, and what it is trained by.
        tensors: the fingerprint of the weights.
        fresh: names of the network's tensors that are not among them; they come from the point's seed.
        given: mean and std by which the network's images are normalised, and where they have more than 8 bits the
            value_range by which they are scaled.
        trained: whether all is trained by the point's recipe.
    """
    own: Json = {key: config[key] for key in ("architecture", "task")} | {"tensors": tensors, "input": given}
    if names := config["dataset"].get("class_names"):
        own |= {"class_names": names}
    if fresh or trained:
        own |= {"fresh": list(fresh), "seed": config["seed"]}
    if trained:
        data = {key: value for key, value in config["dataset"].items() if key != "root"}
        own |= {"recipe": config["recipe"], "dataset": {**data, **given}}
    name = f"{config['architecture']['name']}-adopted"
    return Node(stage="adopt", version=VERSION, stage_config=own, parents=(), fingerprint=tensors, name=name)


def _staged(runtime: Runtime) -> Any:
    from safetensors.torch import load_file

    from convarium.errors import StageFailed

    try:
        return load_file(runtime.checkpoints / STAGED)
    except OSError:
        raise StageFailed("the weights are not there any more; adopt them again") from None
