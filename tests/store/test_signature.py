import json
from pathlib import Path
from typing import Any

import pytest

from convarium.errors import UserError
from convarium.store.signature import canonical_json, compute_signature

GOLDEN = Path(__file__).with_name("golden_signatures.json")


def test_canonical_json_knows_one_text_for_equal_values() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": {"ü": True}}) == '{"a":{"ü":true},"b":[1,2.5,null]}'
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1})


def test_a_whole_number_is_not_a_float() -> None:
    assert canonical_json(1) != canonical_json(1.0)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": float("nan")}}, "a.b"),
        ({"a": [0, float("inf")]}, "a[1]"),
        ({"a": (1, 2)}, "a"),
        ({"a": Path("x")}, "a"),
        ({"a": {1: 2}}, "a"),
        ({"a": b"x"}, "a"),
        ({"a": {1, 2}}, "a"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(UserError) as told:
        canonical_json(value)
    assert str(told.value).startswith(f"{place}: ")
    assert "\n" not in str(told.value)


def test_numpy_numbers_are_refused() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(UserError):
        canonical_json({"a": numpy.float64(1.0)})


def test_signatures_of_the_golden_file_never_change() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) >= 6
    for entry in golden:
        assert compute_signature(*entry["of"]) == entry["signature"]


@pytest.mark.parametrize("part", range(5))
def test_every_part_counts(part: int) -> None:
    parts: list[Any] = ["train", 1, {"seed": 0}, ["0123456789ab"], "fp"]
    other: list[Any] = ["compress", 2, {"seed": 1}, [], None]
    changed = [*parts[:part], other[part], *parts[part + 1 :]]
    assert compute_signature(*parts) != compute_signature(*changed)
