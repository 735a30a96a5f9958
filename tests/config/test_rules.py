"""A rule says what one value may be, whether it comes from a dataclass or from a method's YAML."""

from typing import Annotated, Any, Literal

import pytest

from convarium.config.rules import check_value, parse_knob_rule, parse_type_hint
from convarium.errors import UserError


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (float, 1, 1.0),
        (Annotated[int, "1.."] | None, None, None),
        (Annotated[int, "1.."] | None, 3, 3),
        (Literal["32", "bf16"], 32, "32"),
        (list[int], [1, 2], [1, 2]),
        (dict[str, Any], {"a": [1.5]}, {"a": [1.5]}),
    ],
)
def test_a_fitting_value_gets_the_type_that_the_hint_says(hint: Any, value: Any, expected: Any) -> None:
    result = check_value(value, parse_type_hint(hint), "key")
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (int, "3", "key='3' is str, expected int"),
        (int, True, "key=true is bool, expected int"),
        (int, 1.0, "key=1.0 is float, expected int"),
        (float, float("nan"), "key=nan is not a finite number"),
        (float, None, "key=null is null, expected float"),
        (Annotated[float, "0..1"], 1.7, "key=1.7 is out of range, expected float from 0 to 1"),
        (Annotated[int, "1.."] | None, 0, "expected int or null of at least 1"),
        (Literal["sgd", "adamw"], "sdg", "expected one of sgd, adamw (did you mean sgd?)"),
        (dict[str, Any], {"a": {1: 2}}, "key.a: the key 1 is not text"),
        (list[Any], [object()], "key[0]="),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(hint: Any, value: Any, said: str) -> None:
    with pytest.raises(UserError) as error:
        check_value(value, parse_type_hint(hint), "key")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("default", "entry", "good", "bad"),
    [
        (0.9, "0..1", [1, 0.5], [2, "x", None]),
        (None, "float? 0..", [None, 0.1], ["x", -1]),
        (None, None, [None, 1, "x", [1]], [float("inf")]),
        ("layer", ["layer", "global"], ["global"], ["both", 1]),
        (None, ["a", "b"], [None, "a"], ["c"]),
        (0.9, "0..1 dict", [0.5, {"conv*": 0.3}], [{"conv*": 3}]),
        (5, "1..12", [12], [13, 1.5]),
    ],
)
def test_an_open_set_s_default_gives_the_type(default: Any, entry: Any, good: list[Any], bad: list[Any]) -> None:
    rule = parse_knob_rule(default, entry, "knob")
    for value in good:
        assert check_value(value, rule, "knob") == value
    for value in bad:
        with pytest.raises(UserError):
            check_value(value, rule, "knob")


@pytest.mark.parametrize(("default", "bad"), [(5, 1), ({}, {"fc*": 1})])
def test_a_check_line_s_hint_is_told_to_who_breaks_it(default: Any, bad: Any) -> None:
    kind = "dict " if isinstance(default, dict) else ""
    rule = parse_knob_rule(default, f"{kind}2..8; 1 bit is another method", "knob")
    with pytest.raises(UserError, match=r"is out of range, expected int from 2 to 8 \(1 bit is another method\)$"):
        check_value(bad, rule, "knob")


@pytest.mark.parametrize("entry", ["0..one", "number", "0..1"])
def test_a_check_line_that_says_nothing_clear_is_an_error_of_the_yaml(entry: str) -> None:
    with pytest.raises(UserError, match="_check_"):
        parse_knob_rule(None, entry, "knob")
