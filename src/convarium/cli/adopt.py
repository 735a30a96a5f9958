"""`convarium adopt WEIGHTS`: weights from outside as a dense network of the store, measured at once."""

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.config.paths import path
from convarium.errors import UserError
from convarium.names import allowing, packages

if TYPE_CHECKING:
    from convarium.architectures.weights import Weights
    from convarium.cli.points import Asked
    from convarium.config.point import Point
    from convarium.store.plan import Node
    from convarium.store.store import Store

PRETRAINED = "pretrained"
NORMALISATION = ("dataset.mean", "dataset.std")
SCALING = "dataset.value_range="
DESCRIPTION = """Take weights from outside as a dense network: measured at once, then compressed like one of our own.

WEIGHTS is a safetensors file, a torch checkpoint, a dense .cvm, or the word `pretrained` (architecture=timm or
torchvision: the library fetches its own weights).

  convarium adopt weights.safetensors architecture=timm architecture.name=resnet10t dataset=fashion_mnist
"""

Json = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Store and measure the weights; exit code 2 if they do not fit, 1 if something failed while running."""
    parser = Arguments("adopt", DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--from", dest="key", metavar="KEY", help="which state dict of a checkpoint that holds several")
    parser.add_argument("--new-head", action="store_true", help="begin with a fresh classifier where theirs is another")
    parser.add_argument("--by-order", action="store_true", help="go by the order of the tensors where names differ")
    parser.add_argument("--train", action="store_true", help="then train all of it by the recipe")
    options, source = parser.read_with("weights", argv)
    from convarium.cli import output, run

    with output.aside():
        asked, adopted = _adopted(source, options)
        runs, code = run.answer(asked, options.json)
    if options.json:
        output.document({"adopted": adopted, "runs": runs})
        return code
    run.show(runs)
    for line in adopted["said"]:
        print(line)
    if code == 0:
        print(f"compress it with architecture.weights={adopted['signature']}")
    return code


def _adopted(source: str, options: Namespace) -> tuple["Asked", Json]:
    """Read the weights and lay them where their stage finds them; return the point that begins with them."""
    from convarium.architectures.weights import fingerprint
    from convarium.cli.stored import store_of
    from convarium.stages.adopt import node

    asked, point, typed = _point(options.overrides)
    with allowing(packages(point.config)):
        point = _delivered(point)
        weights = _read(source, point.config["architecture"], options)
    scaled = any(text.startswith(SCALING) for text in options.overrides)
    given = {**_normalisation(weights, point.config, typed), **_scaling(weights, point.config["dataset"], scaled)}
    made = node(point.config, fingerprint(weights.tensors), weights.fresh, given, options.train)
    store = store_of(asked.runtime)
    if store.done(made.signature) is None:
        _lay(store, made, weights)
    adopted = {"signature": made.signature, "tensors": made.stage_config["tensors"], "fresh": list(weights.fresh)}
    asked = replace(asked, points=(_begun(point, made),), invalid=(), launcher=("hydra/launcher=basic",))
    return asked, {**adopted, "input": given, "said": list(weights.said)}


def _point(overrides: Sequence[str]) -> tuple["Asked", "Point", Json]:
    """Return what is asked without a typed normalisation (the network's, not the data's), its one point, and that."""
    from convarium.cli.points import ask

    typed = [text.partition("=")[0] for text in overrides if text.startswith(NORMALISATION)]
    asked = ask([text for text in overrides if not text.startswith(NORMALISATION)])
    point, *others = asked.accepted()
    if others:
        raise UserError(f"adopt takes one point, not {len(others) + 1}: one architecture, one dataset, one seed")
    if point.config["compression"]:
        raise UserError("adopt makes a dense network: leave out compression, then run with architecture.weights=…")
    for key in {"weights", "pretrained"} & set(point.config["architecture"]):
        raise UserError(f"architecture.{key} says what adopt makes; leave it out")
    dataset = ask(overrides).accepted()[0].config["dataset"] if typed else {}
    return asked, point, {key: dataset[key] for key in ("mean", "std") if f"dataset.{key}" in typed}


def _delivered(point: "Point") -> "Point":
    """Return the point with the network as training would deliver it, which is what weights from outside are for."""
    from convarium.architectures import library

    before = point.config["architecture"]
    found = library.delivered(before)
    changed = [(key, value) for key, value in found["kwargs"].items() if before["kwargs"].get(key) != value]
    overrides = (*point.overrides, *(f"architecture.kwargs.{key}={value}" for key, value in changed))
    return replace(point, overrides=overrides, config={**point.config, "architecture": found})


def _read(source: str, architecture: Json, options: Namespace) -> "Weights":
    from convarium.architectures import library, weight_files
    from convarium.architectures.weights import fitted

    network = library.build(architecture, "meta")
    if source == PRETRAINED and options.key is not None:
        raise UserError(f"--from {options.key} chooses in a torch checkpoint; pretrained weights have no such keys")
    weights = library.pretrained(architecture) if source == PRETRAINED else weight_files.read(path(source), options.key)
    return fitted(weights, network, source, new_head=options.new_head, by_order=options.by_order)


def _normalisation(weights: "Weights", config: Json, typed: Json) -> Json:
    """Return mean and std a channel: what is typed, else what the weights' source tells, else the dataset's."""
    found, channels = {}, config["dataset"]["channels"]
    told = {"mean": weights.mean, "std": weights.std} if weights.mean and weights.std else {}
    known = {**(told or (_of_data(config) if len(typed) < 2 else {})), **typed}
    for key, values in known.items():
        if len(values) not in (1, channels):
            raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
        found[key] = [float(value) for value in (values if len(values) == channels else [*values] * channels)]
    if min(found["std"]) <= 0:
        raise UserError(f"dataset.std={found['std']}: expected numbers above 0")
    return found


def _scaling(weights: "Weights", dataset: Json, typed: bool) -> Json:
    """Return the range of values of more than 8 bits, where there are such: what is typed, the weights', the data's."""
    told = dataset.get("value_range") if typed or weights.value_range is None else list(weights.value_range)
    return {} if told is None else {"value_range": told}


def _of_data(config: Json) -> Json:
    """Return the dataset's mean and std: declared, or else of its training images."""
    dataset = config["dataset"]
    if dataset["mean"] is None or dataset["std"] is None:
        from convarium import datasets
        from convarium.store.disk import beside

        splits = datasets.load(dataset, dataset["root"], ("train",), beside(Path(config["runtime"]["store"])))
        dataset = {"mean": splits.mean, "std": splits.std}
    return {"mean": dataset["mean"], "std": dataset["std"]}


def _lay(store: "Store", made: "Node", weights: "Weights") -> None:
    """Put the tensors where the stage that adopts them finds them."""
    from safetensors.torch import save_file

    from convarium.stages.adopt import STAGED
    from convarium.store import disk

    store.prepare()
    folder = store.folder(made) / "checkpoints"
    with disk.mistakes(store.root):
        disk.make_folder(folder)
        draft = folder / f".{STAGED}.{os.getpid()}"
        save_file({name: tensor.clone() for name, tensor in weights.tensors.items()}, draft)
        draft.replace(folder / STAGED)


def _begun(point: "Point", made: "Node") -> "Point":
    """Return the point that begins with the adopted network."""
    from convarium.cli.adopted import FIELDS
    from convarium.config.point import Reference

    weights = {"weights": made.signature}
    return replace(
        point,
        overrides=(*point.overrides, f"architecture.weights={made.signature}"),
        config={**point.config, "architecture": {**point.config["architecture"], **weights}},
        references=(Reference(-1, "weights", chain=({key: getattr(made, key) for key in FIELDS},)),),
    )
