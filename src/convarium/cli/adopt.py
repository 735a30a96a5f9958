"""`convarium adopt WEIGHTS`: weights from outside as a dense network of the store, measured at once."""

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages
from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from convarium.architectures.weights import Weights
    from convarium.compose.points import PointRequest
    from convarium.config.point import Point
    from convarium.planning.plan import Node
    from convarium.store.store import Store

PRETRAINED_SOURCE = "pretrained"
NORMALISATION_KEYS = ("dataset.mean", "dataset.std")
VALUE_RANGE_KEY = "dataset.value_range"
DESCRIPTION = """Take weights from outside as a dense network: measured at once, then compressed like one of our own.

WEIGHTS is a safetensors file, a torch checkpoint, a dense .cvm, or the word `pretrained` (architecture=timm or
torchvision: the library fetches its own weights).

  convarium adopt weights.safetensors architecture=timm architecture.name=resnet10t dataset=fashion_mnist
"""

Json = dict[str, Any]


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("adopt", DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--from", dest="key", metavar="KEY", help="which state dict of a checkpoint that holds several")
    parser.add_argument("--new-head", action="store_true", help="begin with a fresh classifier where theirs is another")
    parser.add_argument("--by-order", action="store_true", help="go by the order of the tensors where names differ")
    parser.add_argument("--train", action="store_true", help="then train all of it by the recipe")
    return parser


def main(argv: Sequence[str]) -> int:
    """Store and measure the weights; exit code 2 if they do not fit, 1 if something failed while running."""
    options, source = build_parser().parse_with_word("weights", argv)
    from convarium.cli import output, run

    with output.redirect_to_stderr():
        asked, adopted = _prepare_adoption(source, options)
        runs, code = run.run_points(asked, options.json)
    if options.json:
        output.print_json({"adopted": adopted, "runs": runs})
        return code
    run.print_runs(runs)
    for line in adopted["said"]:
        print(line)
    if code == 0:
        print(f"compress it with architecture.weights={adopted['signature']}")
    return code


def _prepare_adoption(source: str, options: Namespace) -> tuple["PointRequest", Json]:
    """Read the weights and lay them where their stage finds them; return the point that begins with them."""
    from convarium.architectures.weights import fingerprint_tensors
    from convarium.compose.store_access import open_store
    from convarium.stages.adopt import build_adopt_node

    asked, point, typed = _compose_single_point(options.overrides)
    with allow_packages(find_named_packages(point.config)):
        point = _use_delivered_architecture(point)
        weights = _load_fitting_weights(source, point.config["architecture"], options)
    scaled = any(override.key == VALUE_RANGE_KEY for override in options.overrides)
    given = {
        **_select_normalisation(weights, point.config, typed),
        **_select_value_range(weights, point.config["dataset"], scaled),
    }
    made = build_adopt_node(
        point.config, fingerprint_tensors(weights.tensors), weights.fresh_names, given, options.train
    )
    store = open_store(asked.runtime)
    if store.find_record(made.signature) is None:
        _write_staged_weights(store, made, weights)
    adopted = {"signature": made.signature, "tensors": made.stage_config["tensors"], "fresh": list(weights.fresh_names)}
    asked = replace(
        asked,
        points=(_start_from_adopted(point, made),),
        invalid=(),
        launcher_overrides=(Override("hydra/launcher=basic"),),
    )
    return asked, {**adopted, "input": given, "said": list(weights.notes)}


def _compose_single_point(overrides: Sequence[Override]) -> tuple["PointRequest", "Point", Json]:
    """Return what is asked without a typed normalisation (the network's, not the data's), its one point, and that."""
    from convarium.compose.points import compose_points

    typed = {override.key for override in overrides} & set(NORMALISATION_KEYS)
    asked = compose_points([override for override in overrides if override.key not in typed])
    point, *others = asked.check_points()
    if others:
        raise UserError(f"adopt takes one point, not {len(others) + 1}: one architecture, one dataset, one seed")
    if point.config["compression"]:
        raise UserError("adopt makes a dense network: leave out compression, then run with architecture.weights=…")
    for key in {"weights", "pretrained"} & set(point.config["architecture"]):
        raise UserError(f"architecture.{key} says what adopt makes; leave it out")
    dataset = compose_points(overrides).check_points()[0].config["dataset"] if typed else {}
    return asked, point, {key: dataset[key] for key in ("mean", "std") if f"dataset.{key}" in typed}


def _use_delivered_architecture(point: "Point") -> "Point":
    """Return the point with the network as training would deliver it, which is what weights from outside are for."""
    from convarium.architectures import factory

    before = point.config["architecture"]
    found = factory.condense_architecture(before)
    changed = [(key, value) for key, value in found["kwargs"].items() if before["kwargs"].get(key) != value]
    overrides = (*point.overrides, *(Override(f"architecture.kwargs.{key}={value}") for key, value in changed))
    return replace(point, overrides=overrides, config={**point.config, "architecture": found})


def _load_fitting_weights(source: str, architecture: Json, options: Namespace) -> "Weights":
    from convarium.architectures import factory, weight_files
    from convarium.architectures.weights import match_weights

    network = factory.build_architecture(architecture, "meta")
    if source == PRETRAINED_SOURCE and options.key is not None:
        raise UserError(f"--from {options.key} chooses in a torch checkpoint; pretrained weights have no such keys")
    weights = (
        factory.fetch_pretrained(architecture)
        if source == PRETRAINED_SOURCE
        else weight_files.read_weights(parse_path(source), options.key)
    )
    return match_weights(weights, network, source, new_head=options.new_head, by_order=options.by_order)


def _select_normalisation(weights: "Weights", config: Json, typed: Json) -> Json:
    """Return mean and std a channel: what is typed, else what the weights' source tells, else the dataset's."""
    found, channels = {}, config["dataset"]["channels"]
    told = {"mean": weights.mean, "std": weights.std} if weights.mean and weights.std else {}
    known = {**(told or (_load_dataset_normalisation(config) if len(typed) < 2 else {})), **typed}
    for key, values in known.items():
        if len(values) not in (1, channels):
            raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
        found[key] = [float(value) for value in (values if len(values) == channels else [*values] * channels)]
    if min(found["std"]) <= 0:
        raise UserError(f"dataset.std={found['std']}: expected numbers above 0")
    return found


def _select_value_range(weights: "Weights", dataset: Json, is_typed: bool) -> Json:
    """Return the range of values of more than 8 bits, where there are such: what is typed, the weights', the data's."""
    told = dataset.get("value_range") if is_typed or weights.value_range is None else list(weights.value_range)
    return {} if told is None else {"value_range": told}


def _load_dataset_normalisation(config: Json) -> Json:
    """Return the dataset's mean and std: declared, or else of its training images."""
    dataset = config["dataset"]
    if dataset["mean"] is None or dataset["std"] is None:
        from convarium.datasets.loading import load_splits
        from convarium.store.disk import cache_folder_of

        splits = load_splits(dataset, dataset["root"], ("train",), cache_folder_of(Path(config["runtime"]["store"])))
        dataset = {"mean": splits.mean, "std": splits.std}
    return {"mean": dataset["mean"], "std": dataset["std"]}


def _write_staged_weights(store: "Store", adoption: "Node", weights: "Weights") -> None:
    """Put the tensors where the stage that adopts them finds them."""
    from safetensors.torch import save_file

    from convarium.stages.adopt import STAGED_FILE
    from convarium.store import disk

    store.prepare()
    folder = ResultFolder(store.folder_of(adoption)).checkpoints
    with disk.translate_write_errors(store.root):
        disk.make_folder(folder)
        draft = folder / f".{STAGED_FILE}.{os.getpid()}"
        save_file({name: tensor.clone() for name, tensor in weights.tensors.items()}, draft)
        draft.replace(folder / STAGED_FILE)


def _start_from_adopted(point: "Point", adoption: "Node") -> "Point":
    """Return the point that begins with the adopted network."""
    from convarium.compose.adopted_weights import NODE_FIELDS
    from convarium.config.point import Reference

    weights = {"weights": adoption.signature}
    return replace(
        point,
        overrides=(*point.overrides, Override(f"architecture.weights={adoption.signature}")),
        config={**point.config, "architecture": {**point.config["architecture"], **weights}},
        references=(Reference(-1, "weights", node_fields=({key: getattr(adoption, key) for key in NODE_FIELDS},)),),
    )
