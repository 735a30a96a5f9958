"""What suites try: the cases that a class gives, and the lengths at which encoded data are cut."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import pytest

TRAILING_BYTES = b"\xff\x00\x7f"  # what follows encoded data, of which nothing may be read


def parametrize_cases(metafunc: pytest.Metafunc, **fixtures: Mapping[str, Any]) -> None:
    """Parametrise a test by those of `fixtures` that it takes; each maps test ids to values."""
    for fixture, cases in fixtures.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, list(cases.values()), ids=list(cases))


def list_cut_lengths(length: int, count: int) -> list[int]:
    """Return at most `count` evenly spaced lengths below `length`, from 0 on, and `length` - 1."""
    if length == 0:
        return []
    step = ceil(length / count)
    return sorted({*range(0, length, step), length - 1})
