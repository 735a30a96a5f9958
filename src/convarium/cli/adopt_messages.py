"""What `convarium adopt` says: why weights do not fit and what they may be of, and which command comes next."""

import shlex
from typing import TYPE_CHECKING

from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.architectures.weights import Weights
    from convarium.config.point import Point
    from convarium.weight_files.match_weights import MisfitError

NEXT_COMPRESSION = "compression=magnitude"
CHOICE_ADVICE = "add the architecture= that it is of"


def explain_misfit(source: str, error: "MisfitError", weights: "Weights", point: "Point") -> str:
    """Return what weights were held against, what does not fit, and of which network they are, where that is known."""
    suggestion = None if error.advice else _suggest_network(weights, point)
    if not _is_architecture_chosen(point):
        reason = suggestion or f"{error.trouble}; {error.advice or CHOICE_ADVICE}"
        return f"{source} does not fit {_describe_default(point)}: {reason}"
    if suggestion is None:
        return str(error)
    return f"{source} does not fit: {error.trouble}; {suggestion}"


def explain_unbuilt(source: str, error: UserError, weights: "Weights", point: "Point") -> str:
    """Return why the network for weights can't be built; of which they are, where none was chosen."""
    if _is_architecture_chosen(point):
        return str(error)
    advice = _suggest_network(weights, point) or CHOICE_ADVICE
    return f"{source} can't be held against {_describe_default(point)}: {error}; {advice}"


def _is_architecture_chosen(point: "Point") -> bool:
    return any(override.key == "architecture" for override in point.overrides)


def _describe_default(point: "Point") -> str:
    return f"architecture={point.config['architecture']['name']}, the default where no architecture= is given"


def _suggest_network(weights: "Weights", point: "Point") -> str | None:
    from convarium.weight_files.architecture_index import suggest_architecture

    options = [override.value.rpartition("/")[2] for override in point.overrides if override.key == "architecture"]
    chosen = {point.config["architecture"]["name"], *options}
    suggestion = suggest_architecture(weights.tensors, chosen)
    if weights.model is None or suggestion:
        return suggestion
    library, name = weights.model
    if library == "timm":
        plain_name = name.partition(".")[0]  # without the tag of its weights
        if plain_name in chosen:
            return None
        return f"its config.json says architecture=timm architecture.name={plain_name}"
    return (
        f"its config.json says {name} of {library}, whose names and order no network here has: save the same network of"
        " timm or torchvision"
    )


def format_next_command(point: "Point") -> str:
    """Return the command that compresses an adopted network, as it is typed in a shell.

    Args:
        point: it begins with the adopted weights.
    """
    overrides: list[str] = list(point.overrides)
    keys = {override.key for override in point.overrides}
    for group in ("dataset", "architecture"):
        if group not in keys:
            overrides.insert(0, f"{group}={point.config[group]['name']}")
    return shlex.join(["convarium", "run", *overrides, NEXT_COMPRESSION])
