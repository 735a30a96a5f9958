"""The compression list becomes a list of steps; what Hydra would take silently is refused."""

from typing import Any

import pytest

from convarium.config.compression_steps import check_method_names, parse_steps
from convarium.errors import UserError

PRUNE = {
    "method": "pruning/magnitude",
    "sparsity": 0.9,
    "_check_": {"sparsity": "0..1"},
    "_leaves_": ["sparse"],
    "_refuses_": ["coded"],
}
SHARE = {"method": "quantization/kmeans", "bits": 5, "_leaves_": ["shared"], "_refuses_": ["shared"]}
CODE = {"method": "coding/huffman", "tables": {"most": 15}, "_leaves_": ["coded"]}
YAML = {"magnitude": PRUNE, "kmeans": SHARE, "huffman": CODE}


def told(values: dict[str, Any], default: dict[str, Any] = YAML) -> str:
    with pytest.raises(UserError) as error:
        parse_steps(values, default)
    return str(error.value)


def test_steps_keep_their_order_and_lose_what_is_only_for_checking() -> None:
    found = parse_steps({"kmeans": SHARE, "magnitude": PRUNE}, YAML)
    assert found == [{"method": "quantization/kmeans", "bits": 5}, {"method": "pruning/magnitude", "sparsity": 0.9}]


def test_nothing_is_a_list_without_steps() -> None:
    assert parse_steps({}, {}) == parse_steps(None, {}) == []


@pytest.mark.parametrize("names", [["pruning/random", "pruning/random"], ["pruning/random", "quantization/random"]])
def test_a_method_twice_or_two_with_one_last_name_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"twice|share the knobs"):
        check_method_names(names)


def test_a_step_without_method_names_the_knob() -> None:
    assert "compression.random: this point has no method 'random'" in told({"random": {"sparsity": 0.5}})


def test_knobs_are_checked_against_the_yaml_they_come_from() -> None:
    assert "compression.magnitude.sparsity=1.5 is out of range" in told({"magnitude": {**PRUNE, "sparsity": 1.5}})
    assert "did you mean sparsity?" in told({"magnitude": {**PRUNE, "sparsty": 0.5}})
    assert "compression.huffman.tables.most='x' is str" in told({"huffman": {**CODE, "tables": {"most": "x"}}})
