"""Train a dense network from its seed."""

from collections.abc import Mapping
from typing import Any

from convarium.store.runtime import Parent, Runtime


def train(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Train `own["architecture"]` on `own["dataset"]` by `own["recipe"]` and write it as `network.cvm`.

    One that condenses while it is trained is written as it is delivered.
    A `pretrained` one begins with the library's weights, and its images are normalised as theirs were.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the data are missing or corrupt, the network can't be built, or its weights can't be fetched.
    """
    import torch

    from convarium import datasets
    from convarium.architectures import library
    from convarium.architectures.condensing import Condensing
    from convarium.compression.file import container
    from convarium.seeds import stream

    torch.manual_seed(stream(own["seed"], "init"))
    begun = {key: value for key, value in own["architecture"].items() if key != "pretrained"}
    network, dataset = library.build(begun), dict(own["dataset"])
    if "pretrained" in own["architecture"]:
        dataset |= _pretrained(network, begun)
        own = {**own, "architecture": begun}
    splits = datasets.load(dataset, runtime.root, ("train", "validation"), runtime.cache)
    by_recipe(network, splits, own, runtime)
    if isinstance(network, Condensing):
        network, own = network.delivered(), {**own, "architecture": library.delivered(own["architecture"])}
    container.write(runtime.folder / "network.cvm", network, header(own, splits), {})
    return {"metrics": {}, "skipped": dict(splits.skipped)}


def _pretrained(network: Any, architecture: Mapping[str, Any]) -> dict[str, list[float]]:
    """Give the network its library's weights; return the normalisation that they were trained with."""
    from convarium.architectures import library
    from convarium.architectures.weights import fitted

    weights = library.pretrained(architecture)
    found = fitted(weights, network, f"the pretrained {architecture['name']}", new_head=True)
    network.load_state_dict(found.tensors, strict=False)
    return {"mean": list(weights.mean), "std": list(weights.std)} if weights.mean and weights.std else {}


def by_recipe(network: Any, splits: Any, own: Mapping[str, Any], runtime: Runtime) -> None:
    """Train a plain network by `own["recipe"]`, from where an earlier owner was stopped."""
    from convarium.architectures.condensing import Condensing
    from convarium.tasks.fit import fit

    recipe = own["recipe"]
    fit(
        network,
        splits,
        own["task"],
        recipe,
        epochs=recipe["epochs"],
        lr=recipe["lr"],
        seed=own["seed"],
        checkpoint=runtime.checkpoints / "train.ckpt",
        structure={},
        report=lambda **figures: runtime.report(phase="train", **figures),
        check=runtime.check,
        threads=runtime.threads,
        accelerator=runtime.accelerator,
        terms=[lambda batch: network.penalty()] if isinstance(network, Condensing) else [],
    )


def header(own: Mapping[str, Any], splits: Any) -> dict[str, Any]:
    """What a reader of the file must know about the network and its input."""
    architecture, dataset = own["architecture"], own["dataset"]
    size, named = architecture["img_size"], "class_names" in dataset
    is_wide = "value_range" in dataset and dataset["value_range"] is not None
    scaled = {"value_range": dataset["value_range"]} if is_wide else {}
    shape = [architecture["in_chans"], size, size]
    return {
        "architecture": dict(architecture),
        "task": own["task"]["name"],
        "classes": dataset["class_names"] if named else architecture["num_classes"],
        "input": {"shape": shape, "mean": list(splits.mean), "std": list(splits.std), **scaled},
        "surgery": [],
    }
