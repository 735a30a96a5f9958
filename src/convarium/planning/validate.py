"""The second tier of validation: try every distinct network on the meta device and fit each method to it."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages
from convarium.measurement.executors.executor_requirements import require_installed
from convarium.planning.reference_check import find_reference_mismatch
from convarium.planning.stage_graph import Json, PointLike, count_epochs
from convarium.stages.timing_config import check_int8_timing
from convarium.store.signature import canonical_json

if TYPE_CHECKING:
    from torch import nn

MAX_ERROR_CHARS, MAX_LISTED_NAMES = 200, 3


def validate_points(points: Sequence[PointLike], notes: list[str] | None = None) -> dict[int, str]:
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
            _find_train_size_problem(point.config["dataset"])
            or _find_training_data_problem(point.config)
            or _find_timing_problem(point.config)
            or find_reference_mismatch(point)
        )
        if reason:
            found[index] = reason
        for step in [None, *point.config["compression"]]:
            key = canonical_json([architecture, step])
            if key not in answers:
                with allow_packages(find_named_packages(point.config)):
                    answers[key] = _find_network_problem(architecture, step, networks)
            if reason := answers[key]:
                found.setdefault(index, reason)
    if notes is not None:
        notes += [
            line for key, network in networks.items() for line in _list_network_notes(json.loads(key)["name"], network)
        ]
    return found


def _list_network_notes(name: str, network: "nn.Module") -> Iterator[str]:
    """Yield what one should know of a network that works."""
    from torch.nn.modules.batchnorm import _BatchNorm

    owner = f"architecture {name}"
    if removed := vars(network).get("weight_norm_removed"):
        yield f"{owner}: weight_norm is taken off when it is built ({_format_names(removed)}): these are plain weights"
    modules = network.named_modules()
    if alone := [name for name, one in modules if isinstance(one, _BatchNorm) and one.running_mean is None]:
        yield (
            f"{owner}: without running statistics ({_format_names(alone)}) its answer for an image depends on the batch"
        )


def _format_names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED_NAMES]) + (
        f" and {len(names) - MAX_LISTED_NAMES} more" if len(names) > MAX_LISTED_NAMES else ""
    )


def _find_train_size_problem(dataset: Json) -> str | None:
    asked, there = dataset["train_size"], dataset.get("images", {}).get("train")
    if asked is None or there is None or asked <= there:
        return None
    return f"dataset.train_size={asked}: {dataset['name']} has 1..{there} training images"


def _find_training_data_problem(config: Json) -> str | None:
    dataset, is_adopted = config["dataset"], "weights" in config["architecture"]
    trains = not is_adopted or any(count_epochs(step) for step in config["compression"])
    if not trains or dataset.get("images", {}).get("train") != 0:
        return None
    return f"dataset.root={dataset['root']} holds no train: nothing can be trained on it"


def _find_timing_problem(config: Json) -> str | None:
    try:
        require_installed(config["measurement"]["executors"])
        check_int8_timing(config)
    except UserError as error:
        return str(error)
    return None


def _find_network_problem(architecture: Json, step: Json | None, networks: dict[str, "nn.Module"]) -> str | None:
    """Try the network (no step), or a step on the network that was tried before it; whatever it raises is a reason."""
    from convarium.architectures import factory
    from convarium.compression.budget import check_byte_budget
    from convarium.compression.hidden_reads import check_hidden_reads
    from convarium.compression.run_phases import check_compression_step
    from convarium.planning.outside_network_check import dry_run_network

    key = canonical_json(architecture)
    try:
        if step is None:
            delivered = factory.condense_architecture(architecture)
            network = factory.dry_run_architecture(delivered)
            check_hidden_reads(network, architecture["name"])
            dry_run_network(delivered, network)
            networks[key] = network
        elif key in networks:
            check_byte_budget(step, factory.condense_architecture(architecture))
            check_compression_step(networks[key], step)
    except UserError as error:
        return str(error)
    except Exception as error:  # a fault of this point: the others of the command can do without it
        tried = "" if step is None else f"{step['method']} on "
        said = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_ERROR_CHARS]
        return f"{tried}architecture {architecture['name']} can't be tried: {said}"
    return None
