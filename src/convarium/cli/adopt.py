"""`convarium adopt WEIGHTS`: weights from outside as a dense network of the store, measured at once."""

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.adopt_messages import explain_misfit, explain_unbuilt, format_next_command
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

WEIGHTS is a safetensors file or an index of several, a torch checkpoint, a dense .cvm, a folder of Hugging Face, or
the word `pretrained` (architecture=timm or torchvision: the library fetches its own weights).

  convarium adopt weights.safetensors architecture=timm architecture.name=resnet10t dataset=fashion_mnist
"""

Json = dict[str, Any]


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("adopt", DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--from", dest="key", metavar="KEY", help="which of several: its keys, joined by dots")
    parser.add_argument("--new-head", action="store_true", help="begin with a fresh classifier where theirs is another")
    parser.add_argument("--by-order", action="store_true", help="go by the order of the tensors where names differ")
    parser.add_argument("--train", action="store_true", help="then train all of it by the recipe")
    return parser


def main(argv: Sequence[str]) -> int:
    """Store and measure the weights; exit code 2 if they do not fit, 1 if something failed while running."""
    options, source = build_parser().parse_with_word("weights", argv)
    from convarium.cli import output, run, run_table

    with output.redirect_to_stderr():
        request, adopted = _prepare_adoption(source, options)
        runs, code = run.run_points(request, options.json)
    if options.json:
        output.print_json({"adopted": adopted, "runs": runs})
        return code
    run_table.print_runs(runs)
    for line in adopted["said"]:
        print(line)
    if code == 0:
        print(f"to compress it: {adopted['next']}")
    return code


def _prepare_adoption(source: str, options: Namespace) -> tuple["PointRequest", Json]:
    """Read the weights and write them where their stage looks for them.

    Returns:
        The request of the one point that begins with them, and a description of what was adopted.
    """
    from convarium.architectures.weights import fingerprint_tensors
    from convarium.compose.store_access import open_store
    from convarium.stages.adopt import build_adopt_node

    request, point, typed_normalisation = _compose_single_point(options.overrides)
    with allow_packages(find_named_packages(point.config)):
        point = _use_delivered_architecture(point)
        weights = _load_fitting_weights(source, point, options)
    weights = _check_told_normalisation(weights, point.config["dataset"]["channels"])
    normalisation = _select_normalisation(weights, point.config, typed_normalisation)
    is_range_typed = any(override.key == VALUE_RANGE_KEY for override in options.overrides)
    value_range = _select_value_range(weights, point.config["dataset"], is_range_typed)
    if value_range is not None:
        normalisation["value_range"] = value_range
    node = build_adopt_node(
        point.config, fingerprint_tensors(weights.tensors), weights.fresh_names, normalisation, options.train
    )
    store = open_store(request.runtime)
    if store.find_record(node.signature) is None:
        _write_staged_weights(store, node, weights)
    request = replace(
        request,
        points=(_start_from_adopted(point, node),),
        invalid=(),
        launcher_overrides=(Override("hydra/launcher=basic"),),
    )
    return request, {
        "signature": node.signature,
        "tensors": node.stage_config["tensors"],
        "fresh": list(weights.fresh_names),
        "input": normalisation,
        "said": list(weights.notes),
        "next": format_next_command(request.points[0]),
    }


def _compose_single_point(overrides: Sequence[Override]) -> tuple["PointRequest", "Point", Json]:
    """Return the request, its one point, and the normalisation that was typed, which is not part of either.

    A typed mean and std are those of the network's training, not of the dataset that it is measured on.
    """
    from convarium.compose.points import compose_points

    typed_keys = {override.key for override in overrides} & set(NORMALISATION_KEYS)
    request = compose_points([override for override in overrides if override.key not in typed_keys])
    point, *others = request.check_points()
    if others:
        raise UserError(f"adopt takes one point, not {len(others) + 1}: one architecture, one dataset, one seed")
    if point.config["compression"]:
        raise UserError("adopt makes a dense network: leave out compression, then run with architecture.weights=…")
    for key in {"weights", "pretrained"} & set(point.config["architecture"]):
        raise UserError(f"architecture.{key} says what adopt makes; leave it out")
    if not typed_keys:
        return request, point, {}
    dataset = compose_points(overrides).check_points()[0].config["dataset"]
    return request, point, {key: dataset[key] for key in ("mean", "std") if f"dataset.{key}" in typed_keys}


def _use_delivered_architecture(point: "Point") -> "Point":
    """Return the point with the architecture that training would deliver, which weights from outside are of."""
    from convarium.architectures import factory

    architecture = point.config["architecture"]
    delivered = factory.condense_architecture(architecture)
    changes = [
        Override(f"architecture.kwargs.{key}={value}")
        for key, value in delivered["kwargs"].items()
        if architecture["kwargs"].get(key) != value
    ]
    config = {**point.config, "architecture": delivered}
    return replace(point, overrides=(*point.overrides, *changes), config=config)


def _load_fitting_weights(source: str, point: "Point", options: Namespace) -> "Weights":
    from convarium.architectures import factory
    from convarium.weight_files.match_weights import MisfitError, match_weights, reset_batch_counters
    from convarium.weight_files.read_weights import read_weights

    architecture = point.config["architecture"]
    if source == PRETRAINED_SOURCE and options.key is not None:
        raise UserError(f"--from {options.key} chooses in a torch checkpoint; pretrained weights have no such keys")
    if source == PRETRAINED_SOURCE:
        weights = factory.fetch_pretrained(architecture)
    else:
        weights = read_weights(parse_path(source), options.key)
    try:
        network = factory.build_architecture(architecture, "meta")
    except UserError as error:
        raise UserError(explain_unbuilt(source, error, weights, point)) from None
    try:
        fitting = match_weights(weights, network, source, new_head=options.new_head, by_order=options.by_order)
    except MisfitError as error:
        raise UserError(explain_misfit(source, error, weights, point)) from None
    return reset_batch_counters(fitting)


def _check_told_normalisation(weights: "Weights", channels: int) -> "Weights":
    """Return the weights without a normalisation that a folder's config tells for images of other channels."""
    if weights.model is None or weights.mean is None or weights.std is None:
        return weights
    if len(weights.mean) not in (1, channels) or len(weights.std) not in (1, channels):
        return replace(weights, mean=None, std=None)
    told = f"its config.json tells mean {list(weights.mean)}, std {list(weights.std)}"
    return replace(weights, notes=(*weights.notes, told))


def _select_normalisation(weights: "Weights", config: Json, typed: Json) -> Json:
    """Return mean and std by channel: as typed, else as the weights' source says, else the dataset's."""
    normalisation: Json = dict(typed)
    if weights.mean and weights.std:
        normalisation = {"mean": weights.mean, "std": weights.std} | typed
    elif len(typed) < 2:
        normalisation = _load_dataset_normalisation(config) | typed
    channels = config["dataset"]["channels"]
    for key, values in normalisation.items():
        if len(values) not in (1, channels):
            raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
        values_by_channel = [*values] * channels if len(values) == 1 else values
        normalisation[key] = [float(value) for value in values_by_channel]
    if min(normalisation["std"]) <= 0:
        raise UserError(f"dataset.std={normalisation['std']}: expected numbers above 0")
    return normalisation


def _select_value_range(weights: "Weights", dataset: Json, is_typed: bool) -> list[float] | None:
    """Return the range of values of images of more than 8 bits: as typed, else the weights', else the dataset's."""
    if is_typed or weights.value_range is None:
        value_range: list[float] | None = dataset.get("value_range")
        return value_range
    return list(weights.value_range)


def _load_dataset_normalisation(config: Json) -> Json:
    """Return the dataset's mean and std: as declared, else of its training images."""
    dataset = config["dataset"]
    if dataset["mean"] is None or dataset["std"] is None:
        from convarium.datasets.loading import load_splits
        from convarium.store.disk import cache_folder_of

        splits = load_splits(dataset, dataset["root"], ("train",), cache_folder_of(Path(config["runtime"]["store"])))
        dataset = {"mean": splits.mean, "std": splits.std}
    return {"mean": dataset["mean"], "std": dataset["std"]}


def _write_staged_weights(store: "Store", adoption: "Node", weights: "Weights") -> None:
    """Write the tensors to the checkpoint folder of the stage that adopts them."""
    from safetensors.torch import save_file

    from convarium.stages.adopt import STAGED_FILE
    from convarium.store import disk

    store.prepare()
    folder = ResultFolder(store.folder_of(adoption)).checkpoints
    with disk.translate_write_errors(store.root):
        disk.make_folder(folder)
        draft = folder / f".{STAGED_FILE}.{os.getpid()}"
        # safetensors refuses tensors that share memory, as tied ones do.
        save_file({name: tensor.clone() for name, tensor in weights.tensors.items()}, draft)
        draft.replace(folder / STAGED_FILE)


def _start_from_adopted(point: "Point", adoption: "Node") -> "Point":
    """Return the point that begins with the adopted network."""
    from convarium.compose.adopted_weights import NODE_FIELDS
    from convarium.config.point import Reference

    architecture = {**point.config["architecture"], "weights": adoption.signature}
    node_fields = {key: getattr(adoption, key) for key in NODE_FIELDS}
    return replace(
        point,
        overrides=(*point.overrides, Override(f"architecture.weights={adoption.signature}")),
        config={**point.config, "architecture": architecture},
        references=(Reference(-1, "weights", node_fields=(node_fields,)),),
    )
