"""Choosers: the same questions of a space, answered by given values, at random, or by a trial of Optuna."""

from collections.abc import Callable

import numpy as np
import optuna
import pytest

from convarium.errors import UserError
from convarium.search.choosers import Chooser, DomainChooser, FixedChooser, RandomChooser, TrialChooser, ask_domain
from convarium.search.space import RealRange

ANSWERS = {"network": "lenet5", "width": "16", "lr": 0.01, "bits": 4, "share": 0.3, "terms": "kd+at"}


def ask_everything(chooser: Chooser) -> list[object]:
    return [
        chooser.word("network", ["lenet5", "resnet20"]),
        chooser.number("width", [8, 16, 32]),
        chooser.real("lr", 0.001, 0.3, log=True),
        chooser.whole("bits", 2, 8, step=2),
        chooser.real("share", 0.0, 1.0, step=0.1),
        chooser.subset("terms", ["kd", "at", "fsp"], 0, 2),
    ]


def test_given_answers_are_given_back() -> None:
    assert ask_everything(FixedChooser(ANSWERS)) == ["lenet5", 16, 0.01, 4, 0.3, ("kd", "at")]


@pytest.mark.parametrize(
    "build",
    [
        lambda: RandomChooser(np.random.default_rng(0)),
        lambda: TrialChooser(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()),
    ],
    ids=["random", "trial"],
)
def test_what_was_answered_can_be_asked_for_again(build: Callable[[], DomainChooser]) -> None:
    chooser = build()
    answers = ask_everything(chooser)
    assert list(chooser.answers) == list(ANSWERS)
    assert ask_everything(FixedChooser(chooser.answers)) == answers


def test_the_same_seed_answers_the_same() -> None:
    first, second = (ask_everything(RandomChooser(np.random.default_rng(7))) for _ in range(2))
    assert first == second


def test_at_random_every_option_is_answered_as_often() -> None:
    generator = np.random.default_rng(0)
    words = [RandomChooser(generator).word("a", ["x", "y", "z"]) for _ in range(3000)]
    assert [words.count(word) for word in "xyz"] == pytest.approx([1000] * 3, abs=100)


def test_a_trial_holds_the_answers_that_were_given() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    chooser = TrialChooser(trial)
    ask_everything(chooser)
    assert trial.params == pytest.approx({**chooser.answers})


def test_optuna_s_steps_become_the_number_that_was_typed() -> None:
    trial = optuna.trial.FixedTrial({"a": 0.30000000000000004})
    assert ask_domain(TrialChooser(trial), "a", RealRange(0.0, 1.0, step=0.1)) == 0.3


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"network": "resnet21"}, r"network=resnet21: expected one of its options \(did you mean resnet20\?\)"),
        ({"network": ["lenet5"]}, "network=.*lenet5.*: expected one of its options"),
        ({"bits": 5}, "bits=5: expected a whole number from 2 to 8"),
        ({"lr": 0.5}, "lr=0.5: expected a number from 0.001 to 0.3"),
        ({"lr": "high"}, "lr=high: expected a number"),
    ],
)
def test_an_answer_that_is_none_is_refused(answers: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ask_everything(FixedChooser({**ANSWERS, **answers}))  # type: ignore[dict-item]


def test_an_answer_that_is_missing_is_asked_for() -> None:
    with pytest.raises(UserError, match="network has no value"):
        ask_everything(FixedChooser({}))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda chooser: [chooser.word("a", ["x"]) for _ in range(2)], "a: a space asked for it twice"),
        (lambda chooser: chooser.word("a", []), "a: there is nothing to choose from"),
        (lambda chooser: chooser.whole("a", 3, 1), "a: upside down"),
        (lambda chooser: chooser.subset("a", [str(index) for index in range(40)], 0, 40), "more than 10,000 subsets"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(ask: Callable[[Chooser], object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ask(RandomChooser(np.random.default_rng(0)))
