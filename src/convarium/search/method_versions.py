"""The versions of the methods that trials of a search may have: a method of another version makes another search."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from convarium.config.option_file import read_option
from convarium.config.override import Override
from convarium.config.search_path import find_config_file
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer


def find_method_versions(composer: "Composer", choices: Iterable[str]) -> dict[str, Any]:
    """Return the version of each method by its whole name, as its YAML says; an option that can't be composed has none.

    Args:
        choices: values of `compression`, each an option or a list of them.
    """
    options = {option for choice in choices for option in choice.strip("[]").split(",")} - {"none", ""}
    steps = [step for option in sorted(options) for step in _list_steps(composer, option)]
    return {step["method"]: step.get("version") for step in steps if isinstance(step, Mapping) and "method" in step}


def _list_steps(composer: "Composer", option: str) -> list[Any]:
    file = find_config_file("conf", f"compression/{option}")
    try:
        values = {} if file is None else read_option(file)
        if "method" in values:
            return [values]
        # Several steps, each perhaps of another file: Hydra knows them, and takes ten times as long as one file.
        steps = composer.compose_groups((Override(f"compression={option}"),))["compression"]
    except UserError:
        return []  # the trials that choose it are refused, with the reason
    return list(steps.values()) if isinstance(steps, Mapping) else []
