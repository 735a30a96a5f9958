"""Conditions of `--where` and of the catalogue's checks: a key, an operator and a value."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

from convarium.errors import UserError

# Those of two characters come first: a pattern takes the first alternative that matches.
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "=": operator.eq,
}  # fmt: skip
EQUALITY_OPERATORS = ("=", "==", "!=")
CONDITION_PATTERN = re.compile(rf"\s*([\w.]+)\s*({'|'.join(OPERATORS)})\s*(.+?)\s*")


@dataclass(frozen=True)
class Condition:
    """A key, an operator, and a value; `text` is what was typed, as messages quote it."""

    key: str
    operator: str
    value: str
    text: str

    @property
    def number(self) -> float | None:
        """The value as a number, None where it is not a number."""
        try:
            return float(self.value)
        except ValueError:
            return None

    @property
    def is_ordering(self) -> bool:
        """Whether it asks for less or more, as only numbers can be."""
        return self.operator not in EQUALITY_OPERATORS

    def check_number(self) -> float:
        """Return the value as a number.

        Raises:
            UserError: it is not a number.
        """
        number = self.number
        if number is None:
            raise UserError(f"'{self.text}': '{self.value}' is not a number")
        return number

    def compare(self, left: Any, right: Any) -> bool:
        """Whether the operator holds between two values."""
        return OPERATORS[self.operator](left, right)


def parse_condition(text: str) -> Condition:
    """Return the condition of a text such as "accuracy>0.97"; spaces around its three parts are ignored.

    Raises:
        UserError: it doesn't have three parts, or its value is NaN, which no value is equal to, less or more than.
    """
    match = CONDITION_PATTERN.fullmatch(text)
    if not match:
        raise UserError(f"'{text}': write a figure or key, one of {' '.join(OPERATORS)}, and a value")
    condition = Condition(match[1], match[2], match[3], text)
    if condition.number is not None and isnan(condition.number):
        raise UserError(f"'{text}': '{condition.value}' is not a number")
    return condition
