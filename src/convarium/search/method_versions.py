"""The versions of the methods that trials of a search may have: a method of another version makes another search."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from convarium.config.override import Override
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer


def find_method_versions(composer: "Composer", choices: Iterable[str]) -> dict[str, Any]:
    """Return the version of each method by its whole name, as its YAML says; an option that can't be composed has none.

    Args:
        choices: values of `compression`, each an option or a list of them.
    """
    options = {option for choice in choices for option in choice.strip("[]").split(",")} - {"none", ""}
    steps = [step for option in sorted(options) for step in _compose_steps(composer, option)]
    return {step["method"]: step.get("version") for step in steps if isinstance(step, Mapping) and "method" in step}


def _compose_steps(composer: "Composer", option: str) -> Iterable[Any]:
    try:
        steps = composer.compose_groups((Override(f"compression={option}"),))["compression"]
    except UserError:
        return ()  # the trials that choose it are refused, with the reason
    return steps.values() if isinstance(steps, Mapping) else ()
