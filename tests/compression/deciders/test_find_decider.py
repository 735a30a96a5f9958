"""A decider is named by its short name, and lies in the folder of its family."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from convarium.compression import deciders
from convarium.compression.deciders import find_decider
from convarium.config.option_file import read_option
from convarium.config.search_path import find_builtin_folder
from convarium.errors import UserError


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of one more family."""
    folder = tmp_path / "merging"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(deciders, "__path__", [*deciders.__path__, str(tmp_path)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("convarium.compression.deciders.merging")]:
        del sys.modules[name]


def test_a_decider_is_found_in_the_folder_of_its_family() -> None:
    from convarium.compression.deciders.control.small_dense import small_dense
    from convarium.compression.deciders.pruning.magnitude import magnitude

    assert find_decider("magnitude") is magnitude
    assert find_decider("small_dense") is small_dense


def test_a_folder_is_a_family_without_a_line_elsewhere(family: Path) -> None:
    (family / "average.py").write_text("def average(view):\n    return {}\n")
    assert find_decider("average").__module__ == "convarium.compression.deciders.merging.average"


def test_two_deciders_of_one_name_are_refused(family: Path) -> None:
    (family / "kmeans.py").write_text("def kmeans(view):\n    return {}\n")
    with pytest.raises(UserError) as error:
        find_decider("kmeans")
    assert str(error.value) == "compression.deciders has 'kmeans' twice, in quantization and merging; rename one"


def test_none_of_ours_share_a_name() -> None:
    files = [path.stem for path in Path(deciders.__file__).parent.glob("*/*.py") if path.stem != "__init__"]
    assert sorted(set(files)) == sorted(files)


def test_an_outside_decider_is_its_import_path() -> None:
    assert find_decider("os.path:join") is os.path.join


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("magnitud", "compression.deciders has no 'magnitud'"),
        ("", "compression.deciders has no ''"),
        ("interface", "compression.deciders has no 'interface'"),
        ("pruning", "compression.deciders has no 'pruning'"),
        ("score_pruning", "has no attribute 'score_pruning'"),
        ("pruning.magnitude", "write a name of ours, or package.module:attribute"),
        ("no_such_package:mine", "compression.deciders has no 'no_such_package:mine'"),
    ],
)
def test_a_name_that_is_not_there_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        find_decider(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_deciders_of_our_yamls_are_there() -> None:
    named = {
        phase["decider"]
        for path in (find_builtin_folder("conf") / "compression").rglob("*.yaml")
        for phase in read_option(path).get("phases", [])
        if "decider" in phase
    }
    assert named
    assert all(callable(find_decider(name)) for name in named)
