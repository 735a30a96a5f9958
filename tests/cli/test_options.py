"""`options` shows groups, options and keys with default, range and the words of their YAML, the user's own as well."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.config.messages import format_value
from convarium.config.option_description import GROUP_PURPOSES, SEARCH_PURPOSES, describe_option
from convarium.config.rules import MUST_BE_SET
from convarium.config.search_path import list_config_groups, list_group_options, list_search_folders

Call = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Any]


def told(call: Call, *arguments: str) -> str:
    code, out, error = call("options", *arguments)
    assert (code, error) == (0, "")
    return out


def keys(call: Call, name: str) -> dict[str, Any]:
    return {key["key"]: key for key in json.loads(told(call, name, "--json"))["keys"]}


def test_every_group_has_a_line_what_it_is_for(call: Call) -> None:
    assert sorted(GROUP_PURPOSES) == list_config_groups()
    out = told(call)
    assert all(any(line.startswith(f"{group} ") for line in out.splitlines()) for group in GROUP_PURPOSES)
    assert "architecture      124" in out
    groups = [group["group"] for group in json.loads(told(call, "--json"))["groups"]]
    assert groups == [*GROUP_PURPOSES, *SEARCH_PURPOSES]


@pytest.mark.parametrize("group", ["search/space", "search/strategy", "search/evaluator", "search/pruner"])
def test_the_groups_of_a_search_list_their_options(group: str, call: Call) -> None:
    document = json.loads(told(call, group, "--json"))
    names = [option["name"] for option in document["options"]]
    assert names == list_group_options(group)
    assert document["default"] in names
    assert all(option["head"] for option in document["options"])
    assert told(call, group).startswith(f"{group}: {SEARCH_PURPOSES[group]}\n")


@pytest.mark.parametrize("asked", ["search/pruner/median", "search/pruner=median", "median"])
def test_an_option_of_a_search_has_its_keys_as_they_are_typed(asked: str, call: Call) -> None:
    out = told(call, asked)
    assert out.startswith("search/pruner=median\n")
    assert "search.pruner.startup_trials=5\n    int of at least 1: complete ones" in out


def test_the_keys_of_a_search_are_told(call: Call) -> None:
    assert keys(call, "search")["search.trials"]["default"] == "40"
    assert "search.seconds=null\n    float or null of at least 1: after so many nothing is asked" in told(
        call, "search"
    )


def test_a_group_lists_its_options_by_section(call: Call) -> None:
    out = told(call, "compression")
    assert "\npruning/\n" in out
    assert "  magnitude       Magnitude pruning with retraining, in rounds." in out
    assert out.index("  none ") < out.index("coding/")
    assert "cross_layer/" not in told(call, "architecture/basic")


@pytest.mark.parametrize(
    "asked", ["compression/pruning/magnitude", "compression/magnitude", "compression=magnitude", "magnitude"]
)
def test_an_option_has_its_keys_as_they_are_typed(asked: str, call: Call) -> None:
    out = told(call, asked)
    assert out.startswith("compression=pruning/magnitude\n  Magnitude pruning with retraining")
    assert "compression.magnitude.sparsity=0.9\n    float from 0 to 1: share of weights removed from each site\n" in out
    assert "compression.magnitude.kd.temperature=4.0\n    float from 0.1 to 100: tau\n" in out


def test_closed_groups_have_the_ranges_of_the_schema_and_the_words_of_their_yaml(call: Call) -> None:
    found = keys(call, "recipe/sgd_cosine")
    assert found["recipe.warmup_epochs"] == {
        "key": "recipe.warmup_epochs",
        "default": "1",
        "required": False,
        "values": "int of at least 0",
        "meaning": "linear, a little at every step",
    }
    assert found["recipe.optimizer"]["values"] == "str (sgd, adam, adamw, or one of torch such as torch.optim:NAdam)"
    assert keys(call, "architecture/timm")["architecture.name"]["required"]
    assert keys(call, "tracking/none") == {}  # none can be set there


def test_a_file_of_the_user_s_is_shown_with_what_it_takes_from_ours(call: Call, write: Write) -> None:
    write("conf/recipe/mine.yaml", "# Short.\ndefaults: [sgd_cosine, _self_]\nepochs: 3  # mine\n")
    write("conf/recipe/longer.yaml", "# Longer.\ndefaults:\n  - mine  # and on\n  - _self_\nlr: 0.1\n")
    assert "  mine        Short." in told(call, "recipe")
    found = keys(call, "recipe/longer")
    assert (found["recipe.epochs"]["default"], found["recipe.epochs"]["meaning"]) == ("3", "mine")
    assert found["recipe.lr"]["default"] == "0.1"
    assert found["recipe.warmup_epochs"]["meaning"] == "linear, a little at every step"


def test_of_two_steps_in_one_file_each_has_its_keys(call: Call, write: Write) -> None:
    step = "  method: pruning/magnitude\n  version: 1\n  sparsity: 0.5  # of it\n  _check_: {sparsity: 0..1}\n"
    write("conf/compression/twice.yaml", f"# @package compression\n# Twice.\nfirst:\n{step}second:\n{step}")
    found = keys(call, "compression/twice")
    assert list(found) == ["compression.first.sparsity", "compression.second.sparsity"]
    assert found["compression.second.sparsity"]["meaning"] == "of it"
    assert found["compression.second.sparsity"]["values"] == "float from 0 to 1"


def test_every_default_is_what_is_composed(here: Path) -> None:
    composer = Composer(list_search_folders("conf"))
    for group in list_config_groups():
        names = [name for name in list_group_options(group) if group != "architecture" or name < "basic/m"]
        for name in names:
            composed = composer.compose_groups((f"{group}={name}",))
            option = describe_option(group, name)
            found = {key.key: find_value(composed, f"{option.prefix}.{key.key}") for key in option.keys}
            assert found == {key.key: key.default for key in option.keys}, name


def find_value(composed: Any, key: str) -> str | None:
    """What is composed at a key, as it is typed; None where it must be given."""
    for part in key.split("."):
        composed = composed[part]
    return None if composed == MUST_BE_SET else format_value(composed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recipes"], "options recipes: no such group or option (did you mean recipe?)"),
        (["compression/magnitud"], "compression=magnitud: no such compression (did you mean pruning/magnitude?)"),
        (
            ["none"],
            "options none could be compression/none or budget/none or tracking/none or search/pruner/none;"
            " write the whole name",
        ),
        (["recipe", "adamw"], "options takes one GROUP or GROUP/NAME, not recipe adamw"),
    ],
)
def test_what_is_not_there_is_one_line(arguments: list[str], said: str, call: Call) -> None:
    assert call("options", *arguments) == (2, "", f"convarium: {said}\n")


def test_a_broken_file_of_the_user_s_is_one_line(call: Call, write: Write) -> None:
    write("conf/recipe/mine.yaml", "optimizer: [sgd\n")
    code, out, error = call("options", "recipe/mine")
    assert (code, out) == (2, "")
    assert "conf/recipe/mine.yaml line" in error


def test_the_help_of_a_command_points_here(capsys: pytest.CaptureFixture[str], call: Call) -> None:
    with pytest.raises(SystemExit):
        call("run", "--help")
    out = capsys.readouterr().out
    assert "convarium options compression/magnitude" in out
    assert "resnet20" not in out
