"""Conformance suites: what a noun of an outside package must do, as pytest classes to inherit.

They come with `pip install convarium[test]`:

    from convarium.conformance import MethodSuite

    class TestMine(MethodSuite):
        method = "pruning/mine"

Nothing else of the package imports this one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import pytest
except ModuleNotFoundError:
    raise ModuleNotFoundError("convarium.conformance needs pytest: pip install convarium[test]") from None

if TYPE_CHECKING:
    from convarium.conformance.architecture import ArchitectureSuite
    from convarium.conformance.coder import CoderSuite
    from convarium.conformance.dataset import DatasetSuite
    from convarium.conformance.edit import EditSuite
    from convarium.conformance.method import MethodSuite
    from convarium.conformance.representation import RepresentationSuite
    from convarium.conformance.space import SpaceSuite

__all__ = [
    "ArchitectureSuite",
    "CoderSuite",
    "DatasetSuite",
    "EditSuite",
    "MethodSuite",
    "RepresentationSuite",
    "SpaceSuite",
]


SUITE_MODULES = {suite: f"{__name__}.{suite.removesuffix('Suite').lower()}" for suite in __all__}

# So that a failed assertion shows its values. All suites at once, because they import one another: pytest can't rewrite
# a module that is imported already.
pytest.register_assert_rewrite(*SUITE_MODULES.values())


def __getattr__(name: str) -> Any:
    """Import a suite when it is asked for."""
    if name not in SUITE_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(SUITE_MODULES[name]), name)
