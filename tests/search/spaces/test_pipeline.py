"""Pipelines: at most one method of each family, in a legal order, and the knobs that are worth searching."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.compose.single_point import compose_single_point
from convarium.config.option_file import read_option
from convarium.config.search_path import find_config_file, list_group_options, list_search_folders
from convarium.conformance.space import iterate_random_trials
from convarium.errors import UserError
from convarium.search.choosers import FixedChooser
from convarium.search.configured_space import build_search_space
from convarium.search.searched_knobs import list_searched_knobs
from convarium.search.spaces.pipeline import pipeline

pytestmark = pytest.mark.usefixtures("here")

FAMILIES = ("pruning", "decomposition", "quantization", "coding")
CONFIG = {"function": "pipeline", "version": 1, "families": list(FAMILIES), "without": []}
MINE = """# @package compression.mine
method: pruning/mine
version: 1
phases: [{{decider: 'squares:squared'}}]
sparsity: 0.5
_check_: {{sparsity: 0..1}}
_leaves_: [sparse]
_refuses_: [shared, quantized, coded]
_search_: {search}
"""


def ask(answers: Mapping[str, Any], budget: Mapping[str, Any] | None = None) -> dict[str, Any]:
    chooser = FixedChooser(dict.fromkeys(FAMILIES, "none") | answers)
    return pipeline(chooser, {"budget": budget or {}}, FAMILIES, ("coding/xz",))


def test_without_a_method_the_network_stays_dense() -> None:
    assert ask({}) == {"compression": []}


def test_each_method_brings_its_knobs() -> None:
    answers = {"pruning": "pruning/magnitude", "quantization": "quantization/levels", "coding": "coding/huffman"}
    knobs = {"magnitude.sparsity": 0.8, "magnitude.scope": "global", "levels.quant_max": "7"}
    assert ask({**answers, **knobs}) == {
        "compression": ["pruning/magnitude", "quantization/levels", "coding/huffman"],
        "compression.magnitude.sparsity": 0.8,
        "compression.magnitude.scope": "global",
        "compression.levels.quant_max": 7,
    }


def test_a_coder_is_not_asked_for_where_it_has_nothing_to_code() -> None:
    chooser = FixedChooser(dict.fromkeys(FAMILIES, "none"))
    pipeline(chooser, {}, FAMILIES, ("coding/xz",))
    assert list(chooser.answers) == ["pruning", "decomposition", "quantization"]


def test_what_is_left_of_a_family_is_asked_for_under_a_name_of_its_own() -> None:
    chooser = FixedChooser({**dict.fromkeys(FAMILIES, "none"), "coding(xz)": "coding/xz"})
    assert pipeline(chooser, {}, FAMILIES, ())["compression"] == ["coding/xz"]


def test_an_order_is_asked_for_only_where_several_are_legal() -> None:
    knobs = {"filter_l1.channels_removed": 0.5, "filter_l1.scope": "layer", "kmeans.bits": 3}
    answers = {**knobs, "pruning": "pruning/filter_l1", "quantization": "quantization/kmeans"}
    assert ask(answers)["compression"] == ["pruning/filter_l1", "quantization/kmeans"]
    factored = {"decomposition": "decomposition/svd", "svd.rank_fraction": 0.5, "svd.form": "channel"}
    chain = ask({**answers, **factored, "order(filter_l1,svd)": "svd,filter_l1"})["compression"]
    assert chain == ["decomposition/svd", "pruning/filter_l1", "quantization/kmeans"]


def test_the_knob_that_a_budget_decides_is_not_asked_for() -> None:
    answers = {"pruning": "pruning/magnitude", "magnitude.scope": "layer"}
    assert "compression.magnitude.sparsity" not in ask(answers, {"bytes": 9000, "macs": None})


def test_a_searched_budget_decides_its_knob_too(here: Path) -> None:
    composer = Composer(list_search_folders("conf"))
    config = {**CONFIG, "families": ["pruning"]}
    line = build_search_space(composer, config, ["budget.sparsity=null,0.6"])
    solved = set()
    for _, overrides in iterate_random_trials(line.space, 30):
        point = compose_single_point(composer, (*line.fixed, *overrides))
        if point.config["budget"]["sparsity"]:
            solved.update(step["sparsity"] for step in point.config["compression"] if "sparsity" in step)
    assert solved == {0.6}


def test_weights_that_are_named_get_values_of_their_own() -> None:
    knobs = {"magnitude.sparsity": 0.8, "magnitude.sparsity[conv*]": 0.6, "magnitude.sparsity[fc1.weight]": 0.9}
    answers = {**dict.fromkeys(FAMILIES, "none"), "pruning": "pruning/magnitude", **knobs}
    values = pipeline(FixedChooser(answers), {}, FAMILIES, ("coding/xz",), ("conv*", "fc1.weight"))
    assert values == {
        "compression": ["pruning/magnitude"],
        "compression.magnitude.sparsity": 0.8,
        "compression.magnitude.per_site": {"conv*": 0.6, "fc1.weight": 0.9},
    }


def test_what_has_become_two_layers_has_no_values_of_its_own() -> None:
    answers = {"svd.rank_fraction": 0.5, "svd.form": "channel", "kmeans.bits": 3}
    methods = {"decomposition": "decomposition/svd", "quantization": "quantization/kmeans"}
    chooser = FixedChooser({**dict.fromkeys(FAMILIES, "none"), **methods, **answers})
    assert "compression.kmeans.per_site" not in pipeline(chooser, {}, FAMILIES, ("coding/xz",), ("conv*",))


def test_pipelines_with_values_for_some_weights_are_points(here: Path) -> None:
    composer = Composer(list_search_folders("conf"))
    config = {**CONFIG, "families": ["pruning", "quantization"], "weights": ["conv*", "fc1.weight"]}
    line = build_search_space(composer, config, [])
    for chooser, overrides in iterate_random_trials(line.space, 60):
        steps = compose_single_point(composer, (*line.fixed, *overrides)).config["compression"]
        for step in steps:
            if step["method"] == "quantization/kmeans":
                assert step["per_site"]["fc1.weight"] == chooser.answers["pipeline.kmeans.bits[fc1.weight]"]


def test_every_method_says_what_is_worth_searching_and_it_can_be_read() -> None:
    for name in list_group_options("compression"):
        file = find_config_file("conf", f"compression/{name}")
        if file is not None and name != "none":
            knobs = list_searched_knobs(name, read_option(file))
            assert knobs or name.startswith("coding/"), name


def test_a_method_of_the_user_s_joins_its_family(write: Callable[[str, str], Path]) -> None:
    write("conf/compression/pruning/mine.yaml", MINE.format(search="{sparsity: [0.25, 0.75]}"))
    answers = {"pruning": "pruning/mine", "mine.sparsity": "0.75"}
    assert ask(answers) == {"compression": ["pruning/mine"], "compression.mine.sparsity": 0.75}


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            "{sparsity: 'interval(0.5,1.5)'}",
            "pruning/mine: its _search_: compression.mine.sparsity=1.5 is out",
        ),
        ("{sparsity: [0.5, high]}", "pruning/mine: its _search_: compression.mine.sparsity='high' is str"),
        ("{sparsity: 0.5}", "pruning/mine: its _search_: 0.5: expected an interval or a range of numbers"),
        ("{share: [0.5]}", "pruning/mine: its _search_: compression.mine.share: no such key"),
        ("{sparsity: [0.5], per_site: share}", "pruning/mine: its _search_: per_site=share: expected a knob"),
        ("[sparsity]", "pruning/mine: its _search_ is \\['sparsity'\\], expected knobs"),
    ],
)
def test_a_mistake_in_what_a_method_says_names_the_method(
    write: Callable[[str, str], Path], search: str, said: str
) -> None:
    write("conf/compression/pruning/mine.yaml", MINE.format(search=search))
    with pytest.raises(UserError, match=said):
        ask({})


def test_a_family_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"search.space.families: no method of prunning is searched"):
        pipeline(FixedChooser({}), {}, ("prunning",), ())
