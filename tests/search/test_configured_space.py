"""`search/space=NAME`: lines of a YAML, a function of the user's, and what is typed beside them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.compose.single_point import compose_single_point
from convarium.config.search_path import list_search_folders
from convarium.conformance.space import iterate_all_answers, iterate_random_trials
from convarium.errors import UserError
from convarium.search.choosers import FixedChooser
from convarium.search.configured_space import build_search_space

FUNCTIONS = """
calls = []

def narrow(choose, base, widths):
    calls.append(base["dataset"]["name"])
    values = {"architecture": "wrn_16_1", "recipe.batch_size": choose.number("batch", widths)}
    if choose.word("rate", ["fixed", "searched"]) == "searched":
        values["recipe.lr"] = choose.real("lr", 0.001, 0.3, log=True)
    return values

def small(choose, base):
    return {"recipe.epochs": choose.whole("epochs", 1, 3)}

def twice(choose, base):
    return {"recipe.lr": choose.real("lr", 0, 1) + choose.real("lr", 0, 1)}

def changing(choose, base):
    return {"recipe.batch_size": choose.number("batch", [choose.whole("least", 8, 12), 64])}

def nothing(choose, base):
    return None

def dataset(choose, base):
    return {"dataset": choose.word("data", ["mnist", "cifar10"])}

def unknown(choose, base):
    return {"recepie.lr": 0.1}

def no_option(choose, base):
    return {"recipe": choose.word("recipe", ["sgd_cosine", "sdg"])}
"""
NARROW = {"function": "my_spaces:narrow", "version": 1, "widths": [32, 64]}


@pytest.fixture
def composer(here: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Composer:
    write("my_spaces.py", FUNCTIONS)
    monkeypatch.syspath_prepend(here)
    monkeypatch.delitem(__import__("sys").modules, "my_spaces", raising=False)
    return Composer(list_search_folders("conf"))


def test_lines_are_typed_before_what_is_typed(composer: Composer) -> None:
    config = {"version": 1, "lines": ["recipe=sgd_cosine,adamw", "recipe.lr=interval(0.1,0.2)"]}
    line = build_search_space(composer, config, ["recipe=adamw", "recipe.batch_size=32,64"])
    assert list(line.space.names()) == ["recipe.lr", "recipe.batch_size"]
    assert line.fixed == ("recipe=adamw",)


def test_a_function_s_names_have_its_own_name_before_them(composer: Composer) -> None:
    line = build_search_space(composer, NARROW, ["recipe.momentum=0.8,0.9", "seed=0,1"])
    assert sorted(line.space.names()) == ["narrow.batch", "narrow.lr", "narrow.rate", "recipe.momentum"]
    assert line.seeds == (0, 1)


def test_every_combination_of_both_is_a_point(composer: Composer) -> None:
    line = build_search_space(composer, NARROW, ["recipe.momentum=0.8,0.9"])
    answers = {"narrow.batch": "32", "narrow.rate": "searched", "narrow.lr": 0.01, "recipe.momentum": "0.8"}
    overrides = line.space.choose(FixedChooser(answers))
    assert overrides == (
        "architecture=cross_layer/wrn_16_1",
        "recipe.batch_size=32",
        "recipe.lr=0.01",
        "recipe.momentum=0.8",
    )
    for _, chosen in iterate_random_trials(line.space, 20):
        compose_single_point(composer, (*line.fixed, *chosen))


def test_a_function_is_told_what_is_fixed(composer: Composer) -> None:
    build_search_space(composer, NARROW, ["dataset=fashion_mnist", "compression.kmeans.bits=3"])
    import my_spaces

    assert set(my_spaces.calls) == {"fashion_mnist"}


def test_what_must_be_set_may_be_searched(composer: Composer) -> None:
    typed = ["architecture=timm", "architecture.name=resnet10t,resnet18"]
    line = build_search_space(composer, {"function": "my_spaces:small", "version": 1}, typed)
    for _, overrides in iterate_random_trials(line.space, 9):
        compose_single_point(composer, (*line.fixed, *overrides))


def test_typed_knobs_count_where_the_function_chose_their_method(composer: Composer) -> None:
    config = {"function": "pipeline", "version": 1, "families": ["pruning"], "without": []}
    line = build_search_space(composer, config, ["compression.magnitude.rounds=1,2", "compression.magnitude.epochs=1"])
    for chooser, overrides in iterate_random_trials(line.space, 30):
        has_magnitude = chooser.answers["pipeline.pruning"] == "pruning/magnitude"
        assert ("compression.magnitude.rounds" in chooser.answers) == has_magnitude
        compose_single_point(composer, (*line.fixed, *overrides))


def test_a_finite_space_can_be_counted(composer: Composer) -> None:
    config = {"version": 1, "lines": ["compression=none,magnitude,kmeans", "compression.kmeans.bits=range(2,6)"]}
    space = build_search_space(composer, config, []).space
    assert len(list(iterate_all_answers(space, 100))) == 1 + 1 + 4


@pytest.mark.parametrize(
    ("config", "typed", "said"),
    [
        ({"lines": []}, ["recipe.lr=0.1"], "nothing to search"),
        ({"lines": ["recipe.lr"]}, [], "search.space.lines: 'recipe.lr' is not an override"),
        ({"lines": [{"recipe.lr": 1}]}, [], "is not an override; write 'key=value'"),
        (NARROW, ["recipe.batch_size=16"], "recipe.batch_size: search/space=narrow chooses it too"),
        (NARROW, ["recipe.lr=interval(0.1,0.2)"], "recipe.lr: search/space=narrow chooses it too"),
        (NARROW, ["compression.nothing.bits=2,3"], "compression=nothing: no such compression"),
        ({"function": "my_spaces:narrow", "version": 1}, [], "missing a required argument: 'widths'"),
        ({**NARROW, "depth": 3}, [], "got an unexpected keyword argument 'depth'"),
        ({"function": "my_spaces:wide", "version": 1}, [], "module my_spaces has no attribute 'wide'"),
        ({"function": "wide", "version": 1}, [], "search.spaces has no 'wide'"),
        ({"function": "my_spaces:twice", "version": 1}, [], "search/space=twice: lr: a space asked for it twice"),
        ({"function": "my_spaces:changing", "version": 1}, [], "search/space=changing: batch: its options changed"),
        ({"function": "my_spaces:nothing", "version": 1}, [], "its function returns None, expected values by key"),
        ({"function": "my_spaces:dataset", "version": 1}, [], "its function sets dataset: dataset can't be searched"),
        ({"function": "my_spaces:unknown", "version": 1}, [], "its function sets recepie.lr: no key that is searched"),
        ({"function": "my_spaces:no_option", "version": 1}, [], "recipe=sdg: no such recipe"),
    ],
)
def test_a_mistake_is_one_line(composer: Composer, config: Mapping[str, Any], typed: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        build_search_space(composer, config, typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
