"""The list of asked trials."""

from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.search.asked_trials import AskedTrial, append_asked_trial, read_asked_trials

FIRST = AskedTrial(0, ("recipe=adamw", "recipe.lr=0.0123"), ("b98af741df9b",))
REFUSED = AskedTrial(1, ("recipe=sgd",), ())


def _own() -> None:
    """This process owns the search."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "asked.jsonl"
    for trial in (FIRST, REFUSED):
        append_asked_trial(path, trial, _own)
    return path


def test_trials_are_read_back_in_order(path: Path) -> None:
    assert read_asked_trials(path) == [FIRST, REFUSED]


def test_without_a_file_nothing_was_asked(tmp_path: Path) -> None:
    assert read_asked_trials(tmp_path / "asked.jsonl") == []


def test_an_unfinished_line_does_not_count_and_the_next_trial_takes_its_place(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"number":2,"overri')
    assert read_asked_trials(path) == [FIRST, REFUSED]
    again = AskedTrial(2, ("recipe=adamw",), ())
    append_asked_trial(path, again, _own)
    assert read_asked_trials(path) == [FIRST, REFUSED, again]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"number":0}\n{"number":1,"overrides":[],"signatures":[]}\n', "its line 1 is no asked trial"),
        ('{"number":0,"overrides":[],"signatures":[]}\n{"nu\n{}\n', "its line 2 is no JSON object"),
        ('{"number":3,"overrides":[],"signatures":[]}\n', "trial 0 is not in its line 1"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^{path} is damaged: {line}$"):
        read_asked_trials(path)
