"""Intervals and ranges of Hydra's grammar, as plain numbers with both ends included."""

import itertools
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from math import isnan
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep

from convarium.compose.hydra_errors import CONFIG_ERRORS
from convarium.config.point import MAX_POINTS
from convarium.errors import UserError

Number = int | float


@dataclass(frozen=True)
class NumberSweep:
    """The numbers that an override sweeps over.

    Attributes:
        low: the least.
        high: the largest, which is not below `low` in a range; an interval is as it was typed.
        step: None in an interval.
        tags: what was said of it by `tag(…)`.
    """

    low: Number
    high: Number
    step: Number | None
    tags: frozenset[str]


def read_number_sweep(value: Any) -> NumberSweep | None:
    """Return the numbers of a parsed value, None where it is no interval and no range.

    Raises:
        UserError: a range without a value, without a step, or of too many.
    """
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        return NumberSweep(value.start, value.end, None, frozenset(value.tags))
    return _read_range(value) if isinstance(value, RangeSweep) else None


def parse_number_sweep(text: str) -> NumberSweep:
    """Return the numbers of a text such as `interval(0.5,0.99)`.

    Raises:
        UserError: it is no interval and no range.
    """
    try:
        value = _build_parser().parse_override(f"key={text}").value()
    except CONFIG_ERRORS:
        value = None
    sweep = read_number_sweep(value)
    if sweep is None:
        raise UserError(f"{text}: expected an interval or a range of numbers, such as interval(0.5,0.99)")
    return sweep


def refuse_huge_range(value: Any) -> None:
    """Refuse a range of more values than points are taken at once, before they are listed."""
    if not isinstance(value, RangeSweep):
        return
    if value.step == 0 or any(isnan(number or 0) for number in (value.start, value.stop, value.step)):
        raise UserError("no range of numbers; write range(start,stop,step) with a step that is not 0")
    # Hydra would list all its values; whether there is one past the limit is enough to know.
    if next(itertools.islice(value.range(), MAX_POINTS, None), None) is not None:
        raise UserError(f"a range of more than {MAX_POINTS:,} values; at most so many points are taken at once")


@cache
def _build_parser() -> OverridesParser:
    return OverridesParser.create()


def _read_range(sweep: RangeSweep) -> NumberSweep:
    refuse_huge_range(sweep)
    count = sum(1 for _ in sweep.range())
    if count == 0:
        raise UserError("a range without a value")
    assert sweep.start is not None
    ends = sorted((sweep.start, _get_last(sweep.start, sweep.step, count)))
    return NumberSweep(ends[0], ends[1], abs(sweep.step), frozenset(sweep.tags))


def _get_last(start: Number, step: Number, count: int) -> Number:
    if isinstance(start, int) and isinstance(step, int):
        return start + (count - 1) * step
    # By the digits that were typed: of binary fractions the last of range(1,0,-0.1) would be 0.09999999999999995.
    return float(Decimal(repr(start)) + (count - 1) * Decimal(repr(step)))
