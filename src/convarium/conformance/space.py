"""What every search space must do."""

import json
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.compose.single_point import compose_single_point
from convarium.config.checker import check_open_set
from convarium.config.option_file import read_option
from convarium.config.override import Override
from convarium.config.search_path import find_config_file, list_search_folders
from convarium.errors import UserError
from convarium.search.choosers import DomainChooser, FixedChooser, RandomChooser
from convarium.search.configured_space import SearchLine, build_search_space
from convarium.search.space import Domain, SearchSpace, Value

ANSWER_SAMPLES = 200


class SpaceSuite:
    """Inherit it and name the space.

    Attributes:
        space: its name on the command line, such as "pipeline".
        overrides: what is typed beside it.
        size: how many trials there are that differ in an answer; None where an answer is a real number, or where they
            are too many to count.
        samples: how many trials at random must be valid points.
        required_names: names that a trial at random must have been asked for.
    """

    space: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    size: ClassVar[int | None] = None
    samples: ClassVar[int] = 10_000
    required_names: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def composer(self) -> Composer:
        return Composer(list_search_folders("conf"))

    @pytest.fixture
    def line(self, composer: Composer) -> SearchLine:
        return self._build_line(composer)

    def _build_line(self, composer: Composer) -> SearchLine:
        file = find_config_file("conf", f"search/space/{self.space}")
        assert file is not None, f"no folder conf/search/space has {self.space}.yaml"
        option = read_option(file)
        return build_search_space(composer, check_open_set(option, option, "search.space"), self.overrides)

    def test_every_trial_at_random_is_a_valid_point(self, composer: Composer, line: SearchLine) -> None:
        refused = {}
        for chooser, overrides in iterate_random_trials(line.space, self.samples):
            try:
                compose_single_point(composer, (*line.fixed, *overrides))
            except UserError as error:
                refused[str(error)] = chooser.answers
        assert not refused

    def test_only_its_names_are_asked_for_and_answers_lie_in_their_domains(self, line: SearchLine) -> None:
        names = line.space.names()
        asked: set[str] = set()
        for chooser, _ in iterate_random_trials(line.space, ANSWER_SAMPLES):
            asked.update(chooser.answers)
            assert all(names[name].contains(answer) for name, answer in chooser.answers.items())
        assert asked >= set(self.required_names)

    def test_the_same_answers_give_the_same_trial(self, line: SearchLine) -> None:
        for chooser, overrides in iterate_random_trials(line.space, ANSWER_SAMPLES):
            assert line.space.choose(FixedChooser(chooser.answers)) == overrides

    def test_a_key_is_set_once(self, line: SearchLine) -> None:
        for _, overrides in iterate_random_trials(line.space, ANSWER_SAMPLES):
            keys = [override.key for override in (*line.fixed, *overrides)]
            assert len(keys) == len(set(keys))

    def test_what_is_hashed_is_the_same_json_each_time(self, composer: Composer, line: SearchLine) -> None:
        again = self._build_line(Composer(list_search_folders("conf")))
        assert list(again.space.names().items()) == list(line.space.names().items())
        assert json.dumps(again.space.to_json(), allow_nan=False) == json.dumps(line.space.to_json(), allow_nan=False)

    def test_it_has_as_many_trials_as_it_says(self, line: SearchLine) -> None:
        if self.size is None:
            pytest.skip("it says no size")
        assert len(list(iterate_all_answers(line.space, self.size + 1))) == self.size


def iterate_random_trials(space: SearchSpace, count: int) -> Iterator[tuple[DomainChooser, tuple[Override, ...]]]:
    """Yield trials at random, always the same ones: who answered, and the overrides."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        chooser = RandomChooser(generator)
        yield chooser, space.choose(chooser)


def iterate_all_answers(space: SearchSpace, most: int) -> Iterator[dict[str, Value]]:
    """Yield the answers of all trials, at most `most`, by going back to the last answer that can be another."""
    path: list[int] = []
    for _ in range(most):
        chooser = _PathChooser(path)
        space.choose(chooser)
        yield chooser.answers
        path = chooser.taken
        while path and path[-1] + 1 == chooser.counts[len(path) - 1]:
            path = path[:-1]
        if not path:
            return
        path = [*path[:-1], path[-1] + 1]


class _PathChooser(DomainChooser):
    """Takes the values at given places, then the first of every domain."""

    def __init__(self, path: list[int]) -> None:
        super().__init__()
        self.path = path
        self.taken: list[int] = []
        self.counts: list[int] = []

    def _pick(self, name: str, domain: Domain) -> Value:
        assert domain.count is not None, f"{name} is a real number: such a space has no size"
        index = self.path[len(self.taken)] if len(self.taken) < len(self.path) else 0
        self.taken.append(index)
        self.counts.append(domain.count)
        return domain.list_values()[index]
