"""Order by properties: what steps leave of a network, and what the next one refuses or needs."""

from typing import Any

import pytest

from convarium.config.compression_steps import parse_steps
from convarium.config.step_order import PROPERTIES
from convarium.errors import UserError

PRUNE = {"method": "pruning/own", "_leaves_": ["sparse", "narrower"], "_refuses_": ["quantized", "coded"]}
QUANTIZE = {"method": "quantization/own", "_leaves_": ["quantized"], "_refuses_": ["quantized", "coded"]}
CODE = {"method": "coding/own", "_leaves_": ["coded"], "_refuses_": ["coded"], "_needs_": ["sparse", "quantized"]}
TEACH = {"method": "transfer/own", "_needs_": ["dense"]}


def order(*steps: dict[str, Any]) -> list[str]:
    named = {f"step_{index}": step for index, step in enumerate(steps)}
    return [step["method"].partition("/")[0] for step in parse_steps(named, named)]


def told(*steps: dict[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        order(*steps)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_a_method_neither_refuses_nor_misses_may_come_before_it() -> None:
    assert order(TEACH, TEACH, PRUNE, PRUNE, QUANTIZE, CODE) == [
        "transfer", "transfer", "pruning", "pruning", "quantization", "coding",
    ]  # fmt: skip


def test_a_property_that_is_refused_is_named_with_the_first_step_that_left_it() -> None:
    assert told(PRUNE, QUANTIZE, PRUNE) == (
        "compression: pruning/own can't come after quantization/own, which leaves the network quantized; put it before"
    )


def test_a_property_stays_to_the_end_of_the_chain() -> None:
    assert "after quantization/own, which leaves the network quantized" in told(QUANTIZE, CODE, PRUNE)


def test_a_method_without_any_property_that_it_needs_has_nothing_to_work_on() -> None:
    assert told(TEACH, CODE) == (
        "compression: coding/own has nothing to work on; put before it a step that leaves the network"
        " sparse or quantized"
    )


def test_a_method_of_the_dense_network_comes_after_none_that_leaves_a_property() -> None:
    assert told(PRUNE, TEACH) == (
        "compression: transfer/own can't come after pruning/own, which leaves the network sparse; put it before"
    )


@pytest.mark.parametrize("key", ["_leaves_", "_refuses_", "_needs_"])
def test_a_word_that_is_no_property_names_the_method_and_its_key(key: str) -> None:
    assert told({**TEACH, key: ["quantised"]}) == (
        f"transfer/own: its {key} names 'quantised', no property (did you mean quantized?)"
    )
    assert f"its {key} is sparse, expected a list of properties" in told({**TEACH, key: "sparse"})


@pytest.mark.parametrize("key", ["_leaves_", "_refuses_"])
def test_dense_is_what_no_step_leaves_and_none_can_refuse(key: str) -> None:
    assert f"there is {', '.join(sorted(PROPERTIES))}" in told({**TEACH, key: ["dense"]})


def test_the_properties_are_no_part_of_a_step() -> None:
    assert parse_steps({"own": PRUNE}, {"own": PRUNE}) == [{"method": "pruning/own"}]


def test_a_key_that_nothing_reads_loses_no_rule_in_silence() -> None:
    """Such as the one that said the order before properties did."""
    line = told({**PRUNE, "_refuse_after_": ["quantization"]})
    assert line.startswith("compression.step_0._refuse_after_: no such key (did you mean _refuses_?")
