"""What `convarium adopt` says: why weights do not fit and what they may be of, and which command comes next."""

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convarium.architectures.weights import Weights
    from convarium.config.point import Point
    from convarium.weight_files.match_weights import MisfitError

NEXT_COMPRESSION = "compression=magnitude"


def explain_misfit(source: str, error: "MisfitError", weights: "Weights", point: "Point") -> str:
    """Return what weights were held against, what does not fit, and of which network they are, where that is known."""
    option = next((override.value for override in point.overrides if override.key == "architecture"), None)
    name = point.config["architecture"]["name"]
    suggestion = None if error.advice else _suggest_network(weights, {name, (option or "").rpartition("/")[2]})
    if option is None:
        held_against = f"{source} does not fit architecture={name}, which is taken where no architecture= is given"
        reason = suggestion or f"{error.trouble}; {error.advice or 'add the architecture= that it is of'}"
        return f"{held_against}: {reason}"
    if suggestion is None:
        return str(error)
    return f"{source} does not fit: {error.trouble}; {suggestion}"


def _suggest_network(weights: "Weights", chosen: set[str]) -> str | None:
    from convarium.weight_files.architecture_index import suggest_architecture

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
