"""The second tier of validation: try every distinct network on the meta device and fit each method to it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convarium.errors import UserError
from convarium.host.provenance import read_cpu_model
from convarium.lookup import allow_packages, find_named_packages
from convarium.measurement.executors.executor_requirements import require_installed
from convarium.planning.point_coverage import drop_weight_source
from convarium.planning.reference_check import find_reference_mismatch
from convarium.planning.stage_graph import Json, PointLike, count_epochs
from convarium.stages.timing_config import check_int8_timing
from convarium.store.signature import canonical_json

if TYPE_CHECKING:
    from torch import nn

MAX_ERROR_CHARS = 200
MAX_TRIED = 256
MAX_LISTED_NAMES = 3


@dataclass
class TriedNetworks:
    """What came of trying networks and steps, so that each is tried once in several validations.

    Attributes:
        networks: those that work, on the meta device, by the canonical JSON of their architecture.
        problems: of an architecture and a step (or none) as canonical JSON: what it raised, None where it works.
    """

    networks: "dict[str, nn.Module]" = field(default_factory=dict)
    problems: dict[str, str | None] = field(default_factory=dict)

    def make_room(self) -> None:
        """Forget all once there are many: a search may try thousands of networks."""
        if len(self.problems) >= MAX_TRIED:
            self.networks.clear()
            self.problems.clear()


def validate_points(
    points: Sequence[PointLike], notes: list[str] | None = None, tried: TriedNetworks | None = None
) -> dict[int, str]:
    """Return the one-line reason for every point (by index) whose data, network or methods can't work.

    Each distinct architecture is built once, each distinct (architecture, step) tried once. What the meta device can't
    show is tried on real tensors (`planning.outside_network_check`).

    Args:
        notes: gets a line for what one should know of a network that works.
        tried: what earlier validations tried, and need not be tried again; gets what this one tries.
    """
    tried = tried or TriedNetworks()
    reasons: dict[int, str] = {}
    for index, point in enumerate(points):
        architecture = drop_weight_source(point.config["architecture"])
        problem = _find_config_problem(point)
        # Every network is tried, also of a point that has a reason already: a later point or the notes may need it.
        for step in [None, *point.config["compression"]]:
            key = canonical_json([architecture, step])
            if key not in tried.problems:
                with allow_packages(find_named_packages(point.config)):
                    tried.problems[key] = _find_network_problem(architecture, step, tried.networks)
            problem = problem or tried.problems[key]
        if problem:
            reasons[index] = problem
    if notes is not None:
        for key, network in tried.networks.items():
            notes += _list_network_notes(json.loads(key)["name"], network)
    return reasons


def _list_network_notes(name: str, network: "nn.Module") -> Iterator[str]:
    """Yield what one should know of a network that works."""
    from torch.nn.modules.batchnorm import _BatchNorm

    owner = f"architecture {name}"
    weight_norm_paths = vars(network).get("weight_norm_removed")
    if weight_norm_paths:
        paths = _format_names(weight_norm_paths)
        yield f"{owner}: weight_norm is taken off when it is built ({paths}): these are plain weights"
    batch_norms = [(path, module) for path, module in network.named_modules() if isinstance(module, _BatchNorm)]
    without_statistics = [path for path, module in batch_norms if module.running_mean is None]
    if without_statistics:
        paths = _format_names(without_statistics)
        yield f"{owner}: without running statistics ({paths}) its answer for an image depends on the batch"


def _format_names(names: Sequence[str]) -> str:
    text = ", ".join(names[:MAX_LISTED_NAMES])
    if len(names) > MAX_LISTED_NAMES:
        text += f" and {len(names) - MAX_LISTED_NAMES} more"
    return text


def _find_config_problem(point: PointLike) -> str | None:
    """Return the first reason that shows in the point's config alone."""
    return (
        _find_train_size_problem(point.config["dataset"])
        or _find_training_data_problem(point.config)
        or _find_timing_problem(point.config)
        or _find_recipe_problem(point.config)
        or find_reference_mismatch(point)
    )


def _find_train_size_problem(dataset: Json) -> str | None:
    train_size = dataset["train_size"]
    images = dataset.get("images", {}).get("train")
    if train_size is None or images is None or train_size <= images:
        return None
    return f"dataset.train_size={train_size}: {dataset['name']} has 1..{images} training images"


def _find_training_data_problem(config: Json) -> str | None:
    dataset = config["dataset"]
    if dataset.get("images", {}).get("train") != 0:
        return None
    is_adopted = "weights" in config["architecture"]
    if is_adopted and not any(count_epochs(step) for step in config["compression"]):
        return None
    return f"dataset.root={dataset['root']} holds no train: nothing can be trained on it"


def _find_timing_problem(config: Json) -> str | None:
    try:
        if config["measurement"]["cpu"] in (None, read_cpu_model()):  # on another, its workers look for themselves
            require_installed(config["measurement"]["executors"])
        check_int8_timing(config)
    except UserError as error:
        return str(error)
    return None


def _find_recipe_problem(config: Json) -> str | None:
    """Return why torch refuses the optimiser, or why the average of this network's weights would be none."""
    from convarium.architectures import factory
    from convarium.tasks.optimizer import check_optimizer

    recipe, architecture = config["recipe"], config["architecture"]
    try:
        check_optimizer(recipe)
        is_averaged = recipe["final_weights"] == "ema"
        is_condensing = is_averaged and factory.condense_architecture(architecture) != architecture
    except UserError as error:
        return str(error)
    if is_condensing:
        return f"recipe.final_weights=ema: {architecture['name']} loses connections while it trains; take last or best"
    return None


def _find_network_problem(architecture: Json, step: Json | None, networks: dict[str, "nn.Module"]) -> str | None:
    """Try the network (no step), or a step on the network that was tried before it, and return what it raises.

    Args:
        networks: by the canonical JSON of their architecture; a network that works is added.
    """
    from convarium.architectures import factory
    from convarium.architectures.dry_run import dry_run_architecture
    from convarium.compression.budget import check_byte_budget
    from convarium.compression.hidden_reads import check_hidden_reads
    from convarium.compression.run_phases import check_compression_step
    from convarium.planning.outside_network_check import dry_run_network

    key = canonical_json(architecture)
    try:
        if step is None:
            delivered = factory.condense_architecture(architecture)
            network = dry_run_architecture(delivered)
            check_hidden_reads(network, architecture["name"])
            dry_run_network(delivered, network)
            networks[key] = network
        elif key in networks:
            check_byte_budget(step, factory.condense_architecture(architecture))
            check_compression_step(networks[key], step)
    except UserError as error:
        return str(error)
    except Exception as error:  # a fault of this point: the others of the command can do without it
        method = "" if step is None else f"{step['method']} on "
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_ERROR_CHARS]
        return f"{method}architecture {architecture['name']} can't be tried: {reason}"
    return None
