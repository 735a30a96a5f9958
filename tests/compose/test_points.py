"""Arguments become points: short names, sweeps, knobs where their method is, equal points merged."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convarium.compose import hydra_adapter
from convarium.compose.points import PointRequest, compose_points
from convarium.errors import UserError

pytestmark = pytest.mark.usefixtures("here")


def methods(asked: PointRequest) -> list[list[str]]:
    return [[step["method"] for step in point.config["compression"]] for point in asked.points]


def test_without_arguments_there_is_one_point_with_all_defaults() -> None:
    (point,) = compose_points([]).points
    assert point.overrides == ()
    assert point.config["architecture"]["name"] == "lenet5"
    assert point.config["architecture"]["img_size"] == 28
    assert point.config["compression"] == []


def test_short_names_are_found_in_lists_too() -> None:
    asked = compose_points(["architecture=resnet20", "compression=[magnitude,kmeans],[kmeans,huffman]"])
    assert methods(asked) == [["pruning/magnitude", "quantization/kmeans"], ["quantization/kmeans", "coding/huffman"]]
    assert asked.points[0].overrides == (
        "architecture=cross_layer/resnet20",
        "compression=[pruning/magnitude,quantization/kmeans]",
    )


def test_a_knob_applies_where_its_method_is_and_equal_points_merge() -> None:
    methods = "compression=none,pruning/magnitude,[magnitude,kmeans]"
    asked = compose_points([methods, "compression.magnitude.sparsity=0.8,0.9", "seed=0,1,2"])
    assert len(asked.points) == (1 + 2 + 2) * 3
    assert asked.points[0].overrides == ("compression=none", "seed=0")
    sparsities = [step["sparsity"] for point in asked.points for step in point.config["compression"][:1]]
    assert sparsities == [0.8] * 3 + [0.9] * 3 + [0.8] * 3 + [0.9] * 3


def test_a_range_sweeps_and_no_m_is_needed() -> None:
    assert [point.config["seed"] for point in compose_points(["seed=range(0,5)"]).points] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("nothing", ["none", "[]", "null", "[none]"])
def test_nothing_has_many_spellings_and_one_meaning(nothing: str) -> None:
    assert compose_points([f"compression={nothing}"]).points[0].config == compose_points([]).points[0].config


@pytest.mark.parametrize(
    ("one", "other"), [("recipe.lr=1", "recipe.lr=1.0"), ("compression=magnitude", "compression=[magnitude]")]
)
def test_two_spellings_of_one_point_are_one_config(one: str, other: str) -> None:
    assert compose_points([one]).points[0].config == compose_points([other]).points[0].config


def test_equal_points_of_one_sweep_are_one_point() -> None:
    assert len(compose_points(["recipe.lr=1,1.0,1e0"]).points) == 1


def test_the_overrides_of_a_point_reproduce_it() -> None:
    for point in compose_points(
        ["compression=none,[magnitude,kmeans]", "compression.kmeans.bits=3,4", "seed=0,1"]
    ).points:
        assert compose_points(point.overrides).points == (point,)


def test_the_order_of_the_list_is_the_order_of_the_steps() -> None:
    assert methods(compose_points(["compression=[pruning/magnitude,coding/huffman]"])) == [
        ["pruning/magnitude", "coding/huffman"]
    ]


def test_a_network_of_timm_is_chosen_by_its_name() -> None:
    names = ["architecture=timm", "architecture.name=resnet10t,resnet18", "architecture.kwargs.drop_rate=0.1"]
    asked = compose_points([*names, "dataset.train_size=2000"])
    assert [point.config["architecture"]["name"] for point in asked.points] == ["resnet10t", "resnet18"]
    assert asked.points[0].config["architecture"]["kwargs"] == {"drop_rate": 0.1}


def test_a_knob_that_takes_any_keys_is_set_by_one_of_them() -> None:
    (point,) = compose_points(["compression=magnitude", "compression.magnitude.per_site={conv1*:0.3}"]).points
    assert point.config["compression"][0]["per_site"] == {"conv1*": 0.3}


def test_invalid_points_of_a_sweep_are_listed_each_with_its_reason() -> None:
    asked = compose_points(["compression=magnitude", "compression.magnitude.sparsity=0.5,1.5,2.5"])
    assert (len(asked.points), len(asked.invalid)) == (1, 2)
    with pytest.raises(UserError) as error:
        asked.check_points()
    assert str(error.value).count("\n") == 2
    assert "2 of 3 points are invalid" in str(error.value)


def test_the_user_s_conf_offers_options_but_never_the_primary_config(write: Callable[[str, str], Path]) -> None:
    write("conf/convarium.yaml", "seed: 77\n")
    write("conf/recipe/mine.yaml", "defaults: [sgd_cosine]\nepochs: 1\n")
    (point,) = compose_points(["recipe=mine"]).points
    assert (point.config["seed"], point.config["recipe"]["epochs"]) == (0, 1)


def test_two_files_may_stand_for_steps_of_one_method(write: Callable[[str, str], Path]) -> None:
    write(
        "conf/compression/chain/twice.yaml",
        "defaults:\n  - /compression/pruning/magnitude@_global_.compression.first\n"
        "  - /compression/pruning/magnitude@_global_.compression.second\n",
    )
    (point,) = compose_points(["compression=twice", "compression.first.sparsity=0.5"]).points
    assert [step["sparsity"] for step in point.config["compression"]] == [0.5, 0.9]


def test_300_points_of_three_chains_are_composed_from_files_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    composed, compose = [], hydra_adapter.create_defaults_list

    def counted(**asked: Any) -> Any:
        composed.append(asked)
        return compose(**asked)

    monkeypatch.setattr(hydra_adapter, "create_defaults_list", counted)
    chains = "compression=magnitude,[magnitude,kmeans],[magnitude,kmeans,huffman]"
    asked = compose_points([chains, "compression.magnitude.sparsity=0.5,0.8", "recipe.lr=0.1,0.01", "seed=range(0,25)"])
    assert len(asked.points) == 300
    assert len(composed) == 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=range(0,1000000000)"], "a range of more than 100,000 values"),
        (["seed=range(1000000000,0,-1)"], "a range of more than 100,000 values"),
        (["seed=shuffle(range(0,1000000000))"], "a range of more than 100,000 values"),
        (["recipe.lr=range(0,1,1e-12)"], "a range of more than 100,000 values"),
        (["recipe.lr=range(0,inf)"], "a range of more than 100,000 values"),
        (["recipe.lr=range(1e300,1e301)"], "a range of more than 100,000 values"),
        (["compression=range(0,1000000000)"], "a range of more than 100,000 values"),
        (["runtime.workers=range(0,1000000000)"], "a range of more than 100,000 values"),
        (["seed=range(0,300)", "recipe.lr=range(0,1,0.001)"], "this sweep has 300,000 points"),
        (["sweep=wide"], "this sweep has 120,600 points"),
        (["recipe.lr=range(0,nan)"], "no range of numbers"),
        (["seed=range(0,9,0)"], "no range of numbers"),
        (["compression.magnitude.sites=[range(0,1000000000)]"], "a list can't hold a sweep"),
    ],
)
def test_a_sweep_of_too_many_points_is_refused_before_they_are_listed(
    overrides: list[str], said: str, write: Callable[[str, str], Path]
) -> None:
    grid = '  - ["seed=range(0,300)", "recipe.lr=range(0,0.2,0.001)"]\n'
    write("sweeps/wide.yaml", f"description: wide\nexpected_time: for ever\ngrids:\n{2 * grid}")
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=re.escape(said)):
            compose_points(overrides)
        assert tracemalloc.get_traced_memory()[1] < 1e8
    finally:
        tracemalloc.stop()


REPLACED = [
    ("runtime/local", "foo: 1\n", []),
    ("runtime/local", "# @package _global_\nhydra: {run: {dir: x}}\n", []),
    ("recipe/sgd_cosine", "lr: 1\n", []),
    ("recipe/sgd_cosine", "- a\n- b\n", []),
    ("recipe/sgd_cosine", "a: [\n", []),
    ("dataset/mnist5k", "# @package _global_\nseed: 3\n", []),
    ("budget/none", "defaults: [missing]\n", []),
    ("tracking/none", "uri: 3\n", []),
    ("measurement/standard", "a: ${nope}\n", []),
    ("term/kd", "x: 1\n", ["compression=magnitude", "compression.magnitude.terms=[kd]"]),
    ("compression/pruning/magnitude", "x: 1\n", ["compression=magnitude"]),
    ("compression/magnitude", "x: 1\n", ["compression=magnitude"]),
    ("architecture/lenet5", "layers: 3\n", ["architecture=lenet5"]),
]


@pytest.mark.parametrize(("name", "text", "overrides"), REPLACED)
def test_a_file_of_the_user_s_that_replaces_ours_is_named_where_it_is_of_another_shape(
    name: str, text: str, overrides: list[str], write: Callable[[str, str], Path]
) -> None:
    write(f"conf/{name}.yaml", text)
    with pytest.raises(UserError, match=rf"conf/{name}\.yaml"):
        compose_points(overrides).check_points()


def test_a_file_that_no_point_is_made_of_is_not_named(write: Callable[[str, str], Path]) -> None:
    write("conf/recipe/adam.yaml", "lr: 1\n")
    write("conf/architecture/basic/lenet5.yaml", "lr: 1\n")
    with pytest.raises(UserError) as raised:
        compose_points(["recipe.epochs=-1", "architecture=mlp"]).check_points()
    assert "adam" not in str(raised.value)
