"""What is typed for `run` as a grid is a space for a search: what is asked, in which order, and what comes out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest

from convarium.compose import points
from convarium.compose.hydra_adapter import Composer
from convarium.compose.points import compose_points
from convarium.compose.single_point import compose_single_point
from convarium.config.override import Override
from convarium.config.point import Point
from convarium.config.search_path import list_search_folders
from convarium.search.choosers import FixedChooser, RandomChooser, TrialChooser
from convarium.search.space import Options, RealRange, WholeRange
from convarium.search.typed_line import TypedLine, build_typed_space

pytestmark = pytest.mark.usefixtures("here")

PIPELINES = [
    "architecture=lenet5",
    "compression=none,[magnitude,kmeans,arithmetic],[filter_l1,uniform,arithmetic],[kmeans,arithmetic]",
    "compression.magnitude.sparsity=interval(0.5,0.99)",
    "compression.kmeans.bits=interval(2,6)",
    "compression.magnitude.rounds=1",
]


@pytest.fixture
def composer(here: Path) -> Composer:
    return Composer(list_search_folders("conf"))


def draw_points(composer: Composer, line: TypedLine, count: int) -> list[Point]:
    generator = np.random.default_rng(0)
    draws = [line.space.choose(RandomChooser(generator)) for _ in range(count)]
    return [compose_single_point(composer, (*line.fixed, *draw)) for draw in draws]


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("recipe.lr=tag(log,interval(0.001,0.3))", RealRange(0.001, 0.3, log=True)),
        ("recipe.lr=interval(0,1)", RealRange(0.0, 1.0)),
        ("recipe.lr=int(interval(1,3))", WholeRange(1, 3)),
        ("recipe.epochs=interval(2,6)", WholeRange(2, 6)),
        ("recipe.epochs=tag(log,interval(1,64))", WholeRange(1, 64, log=True)),
        ("recipe.epochs=range(2,7)", WholeRange(2, 6)),
        ("recipe.epochs=range(9,1,-2)", WholeRange(3, 9, step=2)),
        ("recipe.epochs=shuffle(range(2,7))", WholeRange(2, 6)),
        ("recipe.epochs=range(2.0,7.0)", WholeRange(2, 6)),
        ("recipe.momentum=range(0,1,0.1)", RealRange(0.0, 0.9, step=0.1)),
        ("recipe.momentum=range(1,0,-0.1)", RealRange(0.1, 1.0, step=0.1)),
        ("recipe.early_stop=interval(1,4)", WholeRange(1, 4)),
        ("recipe.lr=0.1,1,1.0", Options(("0.1", "1"))),
        ("recipe.lr=choice(0.1,0.01)", Options(("0.1", "0.01"))),
        ("recipe.schedule=shuffle(step,constant,cosine)", Options(("constant", "cosine", "step"))),
        ("recipe.schedule=sort(step,constant)", Options(("constant", "step"))),
        ("recipe=sgd_cosine,adamw", Options(("sgd_cosine", "adamw"))),
        ("recipe=glob(*)", Options(("adamw", "sgd_cosine"))),
        ("recipe.early_stop=null,3", Options(("null", "3"))),
        ("++recipe.optimizer_kwargs.eps=interval(0.1,0.2)", RealRange(0.1, 0.2)),
    ],
)
def test_a_domain_is_what_its_key_takes(composer: Composer, typed: str, domain: object) -> None:
    (found,) = build_typed_space(composer, [typed]).space.names().values()
    assert found == domain


def test_choices_of_groups_are_asked_for_before_knobs_whatever_was_typed_first(composer: Composer) -> None:
    typed = ["compression.kmeans.bits=2,3", "recipe.lr=0.1,0.2", "budget.bytes=null,9000", "compression=none,kmeans"]
    names = build_typed_space(composer, typed).space.names()
    assert list(names) == ["compression", "budget.bytes", "recipe.lr", "compression.kmeans.bits"]


def test_a_knob_is_asked_for_only_where_its_method_is_in_the_list(composer: Composer) -> None:
    line = build_typed_space(composer, PIPELINES)
    asked = set()
    for seed in range(60):
        chooser = RandomChooser(np.random.default_rng(seed))
        line.space.choose(chooser)
        asked.add((chooser.answers.pop("compression"), tuple(chooser.answers)))
    assert asked == {
        ("none", ()),
        (
            "[pruning/magnitude,quantization/kmeans,coding/arithmetic]",
            ("compression.magnitude.sparsity", "compression.kmeans.bits"),
        ),
        ("[pruning/filter_l1,quantization/uniform,coding/arithmetic]", ()),
        ("[quantization/kmeans,coding/arithmetic]", ("compression.kmeans.bits",)),
    }


def test_fixed_knobs_count_where_their_method_is(composer: Composer) -> None:
    for point in draw_points(composer, build_typed_space(composer, PIPELINES), 30):
        rounds = [step["rounds"] for step in point.config["compression"] if step["method"] == "pruning/magnitude"]
        assert set(rounds) <= {1}


def test_bits_are_whole_and_every_number_reads_back_exactly(composer: Composer) -> None:
    line = build_typed_space(composer, [*PIPELINES, "recipe.lr=tag(log,interval(1e-12,1e20))"])
    for point in draw_points(composer, line, 60):
        typed = {override.key: override.value for override in point.overrides}
        assert repr(point.config["recipe"]["lr"]) == typed["recipe.lr"]
        for step in point.config["compression"]:
            if step["method"] == "quantization/kmeans":
                assert str(step["bits"]) == typed["compression.kmeans.bits"]


def test_a_trial_is_the_point_that_run_makes_of_its_overrides(composer: Composer) -> None:
    for point in draw_points(composer, build_typed_space(composer, PIPELINES), 5):
        assert compose_points(point.overrides).points == (point,)


def test_the_same_trial_is_asked_again_by_its_answers(composer: Composer) -> None:
    space = build_typed_space(composer, PIPELINES).space
    chooser = RandomChooser(np.random.default_rng(3))
    overrides = space.choose(chooser)
    assert space.choose(FixedChooser(chooser.answers)) == overrides


def test_a_trial_of_optuna_is_asked_for_the_names_of_the_space(composer: Composer) -> None:
    space = build_typed_space(composer, PIPELINES).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        space.choose(TrialChooser(trial))
        expected = {name: space.names()[name].to_distribution() for name in trial.params}
        assert trial.distributions == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], (0,)),
        (["seed=4"], (4,)),
        (["seed=0,1,2"], (0, 1, 2)),
        (["seed=range(3,6)"], (3, 4, 5)),
        (["seed=1,1"], (1,)),
    ],
)
def test_seeds_stand_apart(composer: Composer, typed: Sequence[str], expected: tuple[int, ...]) -> None:
    line = build_typed_space(composer, ["recipe.lr=0.1,0.2", *typed])
    assert line.seeds == expected
    assert list(line.space.names()) == ["recipe.lr"]


def test_a_knob_that_a_budget_decides_is_not_asked_for(composer: Composer) -> None:
    typed = ["budget.bytes=null,9000", "compression=[magnitude,kmeans]", *PIPELINES[2:4]]
    space = build_typed_space(composer, typed).space
    sparsity, bits = "compression.magnitude.sparsity", "compression.kmeans.bits"
    for budget, asked in (("null", [sparsity, bits]), ("9000", [bits])):
        chooser = FixedChooser({"budget.bytes": budget, sparsity: 0.5, bits: 2})
        space.choose(chooser)
        assert list(chooser.answers) == ["budget.bytes", *asked]


def test_a_range_of_one_number_and_options_of_one_value_are_fixed(composer: Composer) -> None:
    line = build_typed_space(composer, ["recipe.epochs=range(3,4)", "recipe.lr=1,1.0", "recipe=sgd_cosine,adamw"])
    assert line.fixed == ("recipe.epochs=3", "recipe.lr=1")


def test_of_two_overrides_of_a_key_the_later_one_counts(composer: Composer) -> None:
    line = build_typed_space(composer, ["recipe.lr=interval(0.1,0.2)", "recipe=sgd_cosine,adamw", "recipe.lr=0.3"])
    assert (list(line.space.names()), line.fixed) == (["recipe"], ("recipe.lr=0.3",))


def test_adopted_weights_bring_their_architecture(composer: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "list_adopted_architecture", lambda *_: [Override("architecture=basic/mlp")])
    line = build_typed_space(composer, ["recipe.lr=0.1,0.2", "architecture.weights=0a5c5c07c22f"])
    assert line.fixed == ("architecture=basic/mlp", "architecture.weights=0a5c5c07c22f")


def test_a_file_of_the_user_s_with_two_steps_has_knobs_by_their_names(
    composer: Composer, write: Callable[[str, str], Path]
) -> None:
    write(
        "conf/compression/chain/twice.yaml",
        "defaults:\n  - /compression/pruning/magnitude@_global_.compression.first\n"
        "  - /compression/pruning/magnitude@_global_.compression.second\n",
    )
    composer = Composer(list_search_folders("conf"))
    typed = ["compression=none,twice", "compression.first.sparsity=interval(0.1,0.5)"]
    steps = [point.config["compression"] for point in draw_points(composer, build_typed_space(composer, typed), 9)]
    assert {len(chain) for chain in steps} == {0, 2}
    assert all(0.1 <= chain[0]["sparsity"] <= 0.5 for chain in steps if chain)


def test_what_is_hashed_is_what_is_searched(composer: Composer) -> None:
    typed = ["recipe.lr=tag(log,interval(0.001,0.3))", "recipe=sgd_cosine,adamw", "recipe.epochs=2"]
    assert build_typed_space(composer, typed).space.to_json() == {
        "typed": {
            "recipe": {"options": ["sgd_cosine", "adamw"]},
            "recipe.lr": {"real": {"low": 0.001, "high": 0.3, "log": True, "step": None}},
        }
    }
