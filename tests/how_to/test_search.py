"""docs/how-to/search.md: its searches can be begun, one is made small, its words are those of the code."""

import json
import re
import shlex
from pathlib import Path

import pytest

from command_lines import ONE_WORKER, Call
from convarium.config.override import Override
from convarium.search.audit import EXPLANATIONS
from convarium.search.command_line import parse_command_line
from convarium.search.tally import MAX_GATED_IN_A_ROW, MAX_REFUSED_IN_A_ROW
from convarium.search.trial import Outcome

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "search.md").read_text(encoding="utf-8")
SEARCHES = [shlex.split(line)[2:] for line in re.findall(r"^convarium search .*$", PAGE, re.MULTILINE)]
SMALL = ("dataset=digits", "architecture=mlp", "dataset.train_size=100", "recipe.epochs=1", "search.trials=2")
SMALL += tuple(f"compression.{method}.epochs=0" for method in ("kmeans", "uniform", "magnitude", "filter_l1"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("line", SEARCHES, ids=range(len(SEARCHES)))
def test_each_search_of_the_page_has_a_trial_that_can_be_made(line: list[str]) -> None:
    request = parse_command_line([Override(text) for text in line])
    assert request.possible_trial is not None
    assert len(request.search.space.names()) >= 2


def test_what_was_found_is_a_sweep_and_the_same_command_only_reports(here: Path, call: Call) -> None:
    (line,) = [line for line in SEARCHES if "search.save=small" in line]
    code, out, error = call("search", *line, *SMALL, "search.constraints.file_bytes=null", *ONE_WORKER, "--json")
    assert code == 0, error
    found = json.loads(out)
    again = json.loads(call("search", *line, *SMALL, "search.constraints.file_bytes=null", *ONE_WORKER, "--json")[1])
    assert {**again, "seconds": 0} == {**found, "seconds": 0}
    folder = Path(found["path"])
    assert {file.name for file in folder.iterdir()} >= set(re.findall(r"^\| `(\w+\.\w+)` \|", PAGE, re.MULTILINE))
    assert {best["found"] for best in found["best"]} == {"sweep=found/small"}
    for command in re.findall(r"^convarium (?:run|compare) (sweep=found/small)", PAGE, re.MULTILINE):
        assert call("plan", "--fast", command)[0] == 0


def test_the_words_of_the_page_are_those_of_the_code() -> None:
    table = PAGE.partition("## What counts")[2].partition("##")[0]
    assert set(re.findall(r"^\| (\w+) \|", table, re.MULTILINE)) == {"word", *Outcome}
    assert f"{MAX_REFUSED_IN_A_ROW} in a row" in table
    assert f"{MAX_GATED_IN_A_ROW} in a row" in table
    assert all(f"`{code}`" in PAGE for code in EXPLANATIONS)
