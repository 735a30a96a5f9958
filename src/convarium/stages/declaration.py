"""What a stage declares of itself: a module of this room with a `STAGE` is a stage, and nothing else lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from convarium import stages


@dataclass(frozen=True)
class StageConfig:
    """Everything that a stage reads, and nothing else.

    A field that is None leaves no trace in the signature, so that a new one changes no signature of before.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the dict that is hashed and stored, from which the config can be built again."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class StageDeclaration:
    """One kind of work.

    Attributes:
        name: of the stage, of its module and of the function in it that runs it.
        version: raised by hand whenever what it computes changes.
        config: the type of what it is hashed by.
        makes_network: its result holds a network; the first parent of any other stage is the network it looks at.
        fixed_seconds: how long it takes without experience, beside its work.
        needs_quiet_host: it runs alone, because it takes times.
        is_repeatable: its result can be made again from its config; one that can't is never garbage.
    """

    name: str
    version: int
    config: type[StageConfig]
    makes_network: bool = False
    fixed_seconds: float = 1.0
    needs_quiet_host: bool = False
    is_repeatable: bool = True


@cache
def find_stages() -> Mapping[str, StageDeclaration]:
    """Return what every module of this room declares, by name."""
    modules = (import_module(f"{stages.__name__}.{module.name}") for module in iter_modules(stages.__path__))
    return {module.STAGE.name: module.STAGE for module in modules if hasattr(module, "STAGE")}


def build_stage_config(stage: str, values: Mapping[str, Any]) -> StageConfig | Mapping[str, Any]:
    """Return the typed config of a stage; a function of an outside module, which declares none, gets the values."""
    declared = find_stages().get(stage)
    return declared.config(**values) if declared else values


def makes_network(stage: str) -> bool:
    """Whether the result of a stage of this name holds a network."""
    return stage in find_stages() and find_stages()[stage].makes_network
