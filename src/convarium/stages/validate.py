"""The second tier of validation: try every distinct network on the meta device and fit each method to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.errors import UserError
from convarium.measurement.executors.installed import require
from convarium.names import allowing, packages
from convarium.stages.graph import Json, Point
from convarium.store.signature import canonical_json

if TYPE_CHECKING:
    from torch import nn

LONGEST = 200


def validate(points: Sequence[Point]) -> dict[int, str]:
    """Return the one-line reason for every point (by index) whose data, network or methods can't work.

    Each distinct architecture is built once, each distinct (architecture, step) tried once; no memory is taken.
    """
    networks: dict[str, nn.Module] = {}
    answers: dict[str, str | None] = {}
    found: dict[int, str] = {}
    for index, point in enumerate(points):
        told = point.config["architecture"].items()
        architecture = {key: value for key, value in told if key not in ("weights", "pretrained")}
        if reason := _too_few_images(point.config["dataset"]) or _not_installed(point.config["measurement"]):
            found[index] = reason
        for step in [None, *point.config["compression"]]:
            key = canonical_json([architecture, step])
            if key not in answers:
                with allowing(packages(point.config)):
                    answers[key] = _trouble(architecture, step, networks)
            if reason := answers[key]:
                found.setdefault(index, reason)
    return found


def _too_few_images(dataset: Json) -> str | None:
    asked, there = dataset["train_size"], dataset.get("images", {}).get("train")
    if asked is None or there is None or asked <= there:
        return None
    return f"dataset.train_size={asked}: {dataset['name']} has 1..{there} training images"


def _not_installed(measurement: Json) -> str | None:
    try:
        require(measurement["executors"])
    except UserError as error:
        return str(error)
    return None


def _trouble(architecture: Json, step: Json | None, networks: dict[str, "nn.Module"]) -> str | None:
    """Try the network (no step), or a step on the network that was tried before it; whatever it raises is a reason."""
    from convarium.architectures import library
    from convarium.compression.budget import refuse_small
    from convarium.compression.hidden_reads import refuse_hidden_reads
    from convarium.compression.phases import check

    key = canonical_json(architecture)
    try:
        if step is None:
            network = library.trial(library.delivered(architecture))
            refuse_hidden_reads(network, architecture["name"])
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
