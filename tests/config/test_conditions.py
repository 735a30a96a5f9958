"""A condition has a key, an operator and a value, whoever asks."""

import pytest

from convarium.config.conditions import OPERATORS, parse_condition
from convarium.errors import UserError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("accuracy>0.97", ("accuracy", ">", "0.97")),
        (" file_bytes <= 2e4 ", ("file_bytes", "<=", "2e4")),
        ("latency_ms.onnxruntime.16<5", ("latency_ms.onnxruntime.16", "<", "5")),
        ("compression=[magnitude, kmeans]", ("compression", "=", "[magnitude, kmeans]")),
        ("label!=magnitude 0.9", ("label", "!=", "magnitude 0.9")),
        ("label===", ("label", "==", "=")),
    ],
)
def test_a_text_is_read_as_key_operator_and_value(text: str, parts: tuple[str, str, str]) -> None:
    condition = parse_condition(text)
    assert (condition.key, condition.operator, condition.value) == parts
    assert condition.text == text


@pytest.mark.parametrize("sign", OPERATORS)
def test_each_operator_compares(sign: str) -> None:
    condition = parse_condition(f"seed{sign}1")
    met = {number for number in (0, 1, 2) if condition.compare(number, condition.check_number())}
    assert met == {"<": {0}, "<=": {0, 1}, "=": {1}, "==": {1}, "!=": {0, 2}, ">=": {1, 2}, ">": {2}}[sign]
    assert condition.is_ordering == (sign[0] in "<>")


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy>", ">1", "a b=1", "accuracy~1"])
def test_what_has_not_three_parts_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"^'{text}': write a figure or key, one of <= >= == != < > =, and a value$"):
        parse_condition(text)


def test_a_value_that_is_no_number_is_refused_where_one_is_due() -> None:
    assert parse_condition("name=many").number is None
    with pytest.raises(UserError, match=r"^'name=many': 'many' is not a number$"):
        parse_condition("name=many").check_number()
    with pytest.raises(UserError, match=r"^'accuracy=NaN': 'NaN' is not a number$"):
        parse_condition("accuracy=NaN")
