"""Options are read with their bases as Hydra composes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli.completion import complete_line
from convarium.compose.hydra_adapter import Composer
from convarium.config.option_file import list_inherited_files, read_option
from convarium.config.search_path import find_builtin_folder, list_config_names, list_search_folders

METHODS = list_config_names(find_builtin_folder("conf") / "compression")


@pytest.fixture
def composer(here: Path) -> Composer:
    return Composer(list_search_folders("conf"))


def test_architectures_are_read_as_they_are_composed(composer: Composer) -> None:
    for name in list_config_names(find_builtin_folder("conf") / "architecture"):
        option = read_option(find_builtin_folder("conf") / f"architecture/{name}.yaml")
        option.pop("defaults", None)
        assert option == composer.compose_groups((f"architecture={name}",))["architecture"], name


def test_methods_are_read_as_they_are_composed_but_for_their_terms(composer: Composer) -> None:
    for method in [name for name in METHODS if name not in ("none", "transfer/kd")]:
        option = read_option(find_builtin_folder("conf") / f"compression/{method}.yaml")
        option.pop("defaults", None)
        [composed] = composer.compose_groups((f"compression={method}",))["compression"].values()
        assert option == {key: value for key, value in composed.items() if key != "kd"}, method


def test_a_base_of_a_base_merges_key_by_key_and_the_later_of_two_bases_overrides(
    write: Callable[[str, str], Path], composer: Composer
) -> None:
    write("conf/base/first.yaml", "a: 1\nb: 1\n_leaves_: [sparse]\n_check_: {a: 0.., b: 0..}\n")
    write("conf/base/second.yaml", "b: 2\nc: 2\n_check_: {c: 2..}\n")
    write("conf/base/third.yaml", "defaults:\n  - /base/second@_here_\n  - _self_\nc: 3\n_check_: {c: 3..}\n")
    bases = "defaults:\n  - /base/first@_here_\n  - /base/third@_here_\n  - _self_\n"
    file = write("conf/compression/mine.yaml", f"# @package compression.mine\n{bases}a: 0\n_leaves_: [narrower]\n")
    option = read_option(file)
    assert [path.stem for path in list_inherited_files(file)] == ["mine", "third", "second", "first"]
    assert option.pop("defaults") == ["/base/first@_here_", "/base/third@_here_", "_self_"]
    assert option == {
        "a": 0,
        "b": 2,
        "c": 3,
        "_leaves_": ["narrower"],
        "_check_": {"a": "0..", "b": "0..", "c": "3.."},
    }
    composer = Composer(list_search_folders("conf"))
    assert composer.compose_groups(("compression=mine",))["compression"]["mine"] == option


def test_completion_offers_the_knobs_of_bases() -> None:
    knobs = {f"compression.random.{name}=" for name in ("sparsity", "per_site", "scope", "rounds", "sites", "lr")}
    assert knobs <= {*complete_line("convarium run compression=random compression.random.")}


def test_the_user_s_base_is_read_in_place_of_ours(write: Callable[[str, str], Path]) -> None:
    base = write("conf/base/retraining.yaml", "epochs: 7\n")
    assert list_inherited_files(find_builtin_folder("conf") / "compression/quantization/bwn.yaml")[-1] == base
