"""What is typed for a key becomes an axis of a search space: its domain, checked against the key's rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convarium.compose.hydra_numbers import Number, NumberSweep
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.rules import Rule, check_value
from convarium.errors import UserError
from convarium.search.space import Domain, Options, RealRange, Value, WholeRange

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer

TAGS = ("log",)
MAX_CHECKED_NUMBERS = 1000  # of a range whose key takes few choices


@dataclass(frozen=True)
class Axis:
    """A key that is searched, and what it may be; `prefix` is Hydra's `+` or `++`."""

    key: str
    domain: Domain
    prefix: str = ""

    @property
    def method(self) -> str | None:
        """The compression method whose knob it is; None of other keys."""
        return Override(self.key).method

    def build_override(self, value: Value) -> Override:
        """Return what sets a value; Hydra reads exactly the same number from it."""
        text = value if isinstance(value, str) else repr(value)
        return Override(f"{self.prefix}{self.key}={text}")


def build_number_axis(override: Override, sweep: NumberSweep, rules: Sequence[Rule]) -> Axis:
    """Return the axis of an interval or a range.

    Args:
        rules: of the key, one for each option that has it; all must allow it.

    Raises:
        UserError: it is upside down, its key takes no numbers, or an end is none that it takes.
    """
    for rule in rules:
        if rule.types and not rule.types & {int, float}:
            raise UserError(f"{override}: {override.key} has no range, expected {rule}")
    ends = sweep.low, sweep.high
    is_whole = all(type(end) is int for end in ends) or any(_is_whole_number_due(rule) for rule in rules)
    log = _read_log_tag(override, sweep)
    try:
        domain = _build_range(sweep, log) if not is_whole else _build_whole_range(override, sweep, log)
    except UserError as error:
        raise UserError(f"{override}: {error}") from None
    for rule in rules:
        for number in _list_checked_numbers(domain, rule):
            check_value(number, rule, override.key)
    return Axis(override.key, domain, override.prefix)


def build_choice_axis(
    composer: "Composer", override: Override, alternatives: Sequence[Override], rules: Sequence[Rule]
) -> Axis:
    """Return the axis of values one after another; each is checked, and stands there once.

    Raises:
        UserError: a value that the key does not take.
    """
    text_by_value: dict[str, str] = {}
    for alternative in alternatives:
        checked = alternative.value
        if rules and "${" not in alternative.value:  # what it refers to is not known yet
            checked = repr([check_value(composer.parse(alternative).value(), rule, override.key) for rule in rules])
        text_by_value.setdefault(checked, alternative.value)
    texts = list(text_by_value.values())
    value: Any = composer.parse(override).value()
    if getattr(value, "tags", None):
        raise UserError(f"{override}: a choice has no {', '.join(sorted(value.tags))}; tag an interval or a range")
    if getattr(value, "shuffle", False):
        texts.sort()  # Hydra would give them in another order each time, and the search another signature
    return Axis(override.key, Options(tuple(texts)), override.prefix)


def _is_whole_number_due(rule: Rule) -> bool:
    return int in rule.types and float not in rule.types


def _read_log_tag(override: Override, sweep: NumberSweep) -> bool:
    for tag in sorted(sweep.tags):
        if tag not in TAGS:
            raise UserError(f"{override}: no such tag {tag}{suggest_nearest(tag, TAGS)}")
    return "log" in sweep.tags


def _build_range(sweep: NumberSweep, log: bool) -> RealRange:
    return RealRange(sweep.low, sweep.high, log, None if sweep.step is None else float(sweep.step))


def _build_whole_range(override: Override, sweep: NumberSweep, log: bool) -> WholeRange:
    step = 1 if sweep.step is None else sweep.step
    low, high, step = (_convert_to_whole(override.key, number) for number in (sweep.low, sweep.high, step))
    return WholeRange(low, high, step, log)


def _convert_to_whole(key: str, number: Number) -> int:
    if not float(number).is_integer():
        raise UserError(f"{key} takes whole numbers, not {number:g}")
    return int(number)


def _list_checked_numbers(domain: WholeRange | RealRange, rule: Rule) -> list[Value]:
    """Return the numbers by which a domain meets a rule or does not: its ends, or all where the key takes choices."""
    if not rule.choices:
        return [domain.low, domain.high]
    if domain.count is None or domain.count > MAX_CHECKED_NUMBERS:
        raise UserError(f"it takes few numbers, expected {rule}")
    return domain.list_values()
