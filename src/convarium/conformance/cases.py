"""Each test of a suite once for each case that its class gives."""

from collections.abc import Mapping
from typing import Any

import pytest


def parametrize_cases(metafunc: pytest.Metafunc, **fixtures: Mapping[str, Any]) -> None:
    """Parametrise a test by those `fixtures` that it takes: cases by a name for people."""
    for fixture, cases in fixtures.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, list(cases.values()), ids=list(cases))
