"""Train a dense network from its seed."""

from collections.abc import Mapping
from typing import Any

from convarium.store.runtime import Parent, Runtime


def train(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Train `own["architecture"]` on `own["dataset"]` by `own["recipe"]` and write it as `network.cvm`.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the data are missing or corrupt, or the network can't be built.
    """
    import torch

    from convarium import datasets
    from convarium.architectures import library
    from convarium.compression.file import container
    from convarium.seeds import stream
    from convarium.tasks.fit import fit

    recipe = own["recipe"]
    splits = datasets.load(own["dataset"], runtime.root, ("train", "validation"))
    torch.manual_seed(stream(own["seed"], "init"))
    network = library.build(own["architecture"])
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
    )
    container.write(runtime.folder / "network.cvm", network, header(own, splits), {})
    return {"metrics": {}}


def header(own: Mapping[str, Any], splits: Any) -> dict[str, Any]:
    """What a reader of the file must know about the network and its input."""
    architecture = own["architecture"]
    size = architecture["img_size"]
    return {
        "architecture": dict(architecture),
        "task": own["task"]["name"],
        "classes": architecture["num_classes"],
        "input": {"shape": [architecture["in_chans"], size, size], "mean": list(splits.mean), "std": list(splits.std)},
        "surgery": [],
    }
