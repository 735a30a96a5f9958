"""The second tier of validation: try every distinct network on the meta device and fit each method to it."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convarium.errors import UserError
from convarium.measurement.executors.installed import require
from convarium.names import allowing, packages
from convarium.stages.clock import refuse_requantized
from convarium.stages.graph import Json, Point, epochs
from convarium.stages.teachers import find_misfit
from convarium.store.signature import canonical_json

if TYPE_CHECKING:
    from torch import nn

LONGEST, NAMED = 200, 3


def validate(points: Sequence[Point], notes: list[str] | None = None) -> dict[int, str]:
    """Return the one-line reason for every point (by index) whose data, network or methods can't work.

    Each distinct architecture is built once, each distinct (architecture, step) tried once. What the meta device can't
    show is tried on real tensors (`rehearsal`).

    Args:
        notes: gets a line for what one should know of a network that works.
    """
    networks: dict[str, nn.Module] = {}
    answers: dict[str, str | None] = {}
    found: dict[int, str] = {}
    for index, point in enumerate(points):
        told = point.config["architecture"].items()
        architecture = {key: value for key, value in told if key not in ("weights", "pretrained")}
        reason = (
            _too_few_images(point.config["dataset"])
            or _nothing_to_train_on(point.config)
            or _not_timed(point.config)
            or find_misfit(point)
        )
        if reason:
            found[index] = reason
        for step in [None, *point.config["compression"]]:
            key = canonical_json([architecture, step])
            if key not in answers:
                with allowing(packages(point.config)):
                    answers[key] = _trouble(architecture, step, networks)
            if reason := answers[key]:
                found.setdefault(index, reason)
    if notes is not None:
        notes += [line for key, network in networks.items() for line in _note(json.loads(key)["name"], network)]
    return found


def _note(name: str, network: "nn.Module") -> Iterator[str]:
    """Yield what one should know of a network that works."""
    from torch.nn.modules.batchnorm import _BatchNorm

    owner = f"architecture {name}"
    if removed := vars(network).get("weight_norm_removed"):
        yield f"{owner}: weight_norm is taken off when it is built ({_listed(removed)}): these are plain weights"
    modules = network.named_modules()
    if alone := [name for name, one in modules if isinstance(one, _BatchNorm) and one.running_mean is None]:
        yield f"{owner}: without running statistics ({_listed(alone)}) its answer for an image depends on the batch"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _too_few_images(dataset: Json) -> str | None:
    asked, there = dataset["train_size"], dataset.get("images", {}).get("train")
    if asked is None or there is None or asked <= there:
        return None
    return f"dataset.train_size={asked}: {dataset['name']} has 1..{there} training images"


def _nothing_to_train_on(config: Json) -> str | None:
    dataset, is_adopted = config["dataset"], "weights" in config["architecture"]
    trains = not is_adopted or any(epochs(step) for step in config["compression"])
    if not trains or dataset.get("images", {}).get("train") != 0:
        return None
    return f"dataset.root={dataset['root']} holds no train: nothing can be trained on it"


def _not_timed(config: Json) -> str | None:
    try:
        require(config["measurement"]["executors"])
        refuse_requantized(config)
    except UserError as error:
        return str(error)
    return None


def _trouble(architecture: Json, step: Json | None, networks: dict[str, "nn.Module"]) -> str | None:
    """Try the network (no step), or a step on the network that was tried before it; whatever it raises is a reason."""
    from convarium.architectures import library
    from convarium.compression.budget import refuse_small
    from convarium.compression.hidden_reads import refuse_hidden_reads
    from convarium.compression.phases import check
    from convarium.stages.rehearsal import rehearse

    key = canonical_json(architecture)
    try:
        if step is None:
            delivered = library.delivered(architecture)
            network = library.trial(delivered)
            refuse_hidden_reads(network, architecture["name"])
            rehearse(delivered, network)
            networks[key] = network
        elif key in networks:
            refuse_small(step, library.delivered(architecture))
            check(networks[key], step)
    except UserError as error:
        return str(error)
    except Exception as error:  # a fault of this point: the others of the command can do without it
        tried = "" if step is None else f"{step['method']} on "
        said = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
        return f"{tried}architecture {architecture['name']} can't be tried: {said}"
    return None
