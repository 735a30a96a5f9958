"""Conformance suites: what an outside author's noun must do, as pytest classes to inherit.

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

__all__ = ["ArchitectureSuite", "CoderSuite", "DatasetSuite", "EditSuite", "MethodSuite", "RepresentationSuite"]


def __getattr__(name: str) -> Any:
    """Import a suite when it is asked for; pytest then tells the values of its failed assertions."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{name.removesuffix('Suite').lower()}"
    pytest.register_assert_rewrite(module)
    return getattr(import_module(module), name)
