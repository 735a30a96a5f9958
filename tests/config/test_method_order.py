"""Which methods may follow which: `pair_verdicts.tsv` holds the verdict on each alone and on every ordered pair."""

from pathlib import Path
from typing import Any

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.config import search_path
from convarium.config.compression_steps import parse_steps
from convarium.errors import UserError

ALONE, ACCEPTED, REFUSED = "alone", "yes", "no"
METHODS = [name for name in search_path.list_group_options("compression") if name != "none"]
TABLE = Path(__file__).with_name("pair_verdicts.tsv")


@pytest.fixture(scope="module")
def steps() -> dict[str, dict[str, Any]]:
    """Each method's step as composed, under its last name."""
    composer = Composer([search_path.find_builtin_folder("conf")])
    return {method: composer.compose_groups((f"compression={method}",))["compression"] for method in METHODS}


def judge(*chain: dict[str, Any]) -> str:
    """The verdict on a chain; each step has a name of its own, as in a file of several steps."""
    named = {f"step_{index}": step for index, one in enumerate(chain) for step in one.values()}
    try:
        parse_steps(named, named)
    except UserError:
        return REFUSED
    return ACCEPTED


def test_each_method_and_each_pair_is_taken_or_refused_as_the_table_says(steps: dict[str, dict[str, Any]]) -> None:
    found = [["first \\ second", ALONE, *METHODS]]
    for first in METHODS:
        found.append([first, judge(steps[first]), *(judge(steps[first], steps[second]) for second in METHODS)])
    assert [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()] == found
