"""What a strategy or a pruner needs of a search is refused in one line where it is not there."""

from dataclasses import dataclass, field
from unittest.mock import Mock

import pytest

from convarium.architectures import dry_run
from convarium.config.override import Override
from convarium.config.point import Point
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.search.command_line import SearchRequest, parse_command_line
from convarium.search.offers import ProbedSearch
from convarium.search.trial import prepare_trial
from search.fake_search import FakeEvaluator, build_fake_search

SPACE = ("architecture=mlp", "dataset=digits", "recipe.lr=tag(log,interval(0.001,0.3))", "recipe.epochs=3")
SPARSITY = ("compression=[magnitude]", "compression.magnitude.sparsity=interval(0.5,0.99)")
TWO = "search.objectives=[accuracy,file_bytes]"


def _parse(*texts: str) -> SearchRequest:
    return parse_command_line([Override(text) for text in (*SPACE, *texts)])


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (("search/pruner=median", "recipe.epochs=range(1,9)"), "needs equally many epochs in all trials"),
        (("search/pruner=median", "recipe.epochs=1,2"), "needs equally many epochs in all trials"),
        (("search/pruner=halving", "compression=none,magnitude"), "needs equally many epochs in all trials"),
        (("search/pruner=hyperband", TWO), "search/pruner=hyperband needs a single objective"),
        (("search/pruner=median", TWO, *SPARSITY), "search/pruner=median needs each cost among several objectives"),
        (("search/pruner=median", "search.objectives=[loss]"), "no curve is kept of loss"),
        (("search/pruner=median", "search.objectives=[macs]"), "no curve is kept of macs"),
        (
            ("search/strategy=optuna", "search.strategy.sampler=optuna.samplers:CmaEsSampler", TWO),
            "search.strategy.sampler=optuna.samplers:CmaEsSampler needs a single objective",
        ),
        (
            ("search/strategy=optuna", "search.strategy.sampler=optuna.samplers:BruteForceSampler"),
            "optuna.samplers:BruteForceSampler needs a space of finitely many points",
        ),
    ],
)
def test_what_is_not_there_is_named(texts: tuple[str, ...], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        _parse(*texts)
    assert "\n" not in str(error.value)


def test_the_steps_are_the_epochs_of_the_last_training() -> None:
    assert _parse("search/pruner=hyperband").step_count == 3
    pruned = _parse(
        "search/pruner=median", "compression.magnitude.rounds=2", "compression.magnitude.epochs=2", *SPARSITY
    )
    assert pruned.step_count == 4
    assert _parse().step_count == 0


def test_costs_that_are_known_before_training_may_be_objectives_of_a_pruned_search() -> None:
    texts = ("search/pruner=median", "architecture.kwargs.hidden=[300],[20]")
    assert _parse(*texts, TWO).step_count == 3
    assert _parse(*texts, *SPARSITY, "search.objectives=[accuracy,macs]").step_count > 0


def test_another_pruner_is_another_search() -> None:
    assert _parse("search/pruner=median").search.describe() != _parse().search.describe()


@dataclass(frozen=True)
class _CountingEvaluator(FakeEvaluator):
    planned: list[Point] = field(default_factory=list)

    def plan(self, point: Point) -> Plan:
        self.planned.append(point)
        return super().plan(point)


def test_no_point_is_composed_a_second_time_for_another_question() -> None:
    once, often = _CountingEvaluator(), _CountingEvaluator()
    ProbedSearch(build_fake_search(evaluator=once)).find_offers()
    probed = ProbedSearch(build_fake_search(evaluator=often))
    assert probed.find_possible_trial() is not None
    assert len(often.planned) == 1
    assert probed.find_offers()
    assert [point.overrides for point in often.planned] == [point.overrides for point in once.planned]


def test_a_network_is_tried_once_for_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    try_network = Mock(side_effect=dry_run.dry_run_architecture)
    monkeypatch.setattr(dry_run, "dry_run_architecture", try_network)
    search = build_fake_search()
    for rate in ("0.01", "0.02"):
        assert prepare_trial(search, (*search.fixed, Override(f"recipe.lr={rate}"))).refusal is None
    assert try_network.call_count == 1
