"""Where configs lie and what they are called."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convarium.cli import main
from convarium.cli.completion import complete_line
from convarium.compose.points import compose_points
from convarium.config import search_path
from convarium.config.search_path import (
    INCLUDED_GROUPS,
    list_config_groups,
    list_group_options,
    list_search_folders,
    list_shadowing_files,
    resolve_full_name,
)
from convarium.errors import UserError


@pytest.mark.parametrize("group", list_config_groups())
def test_last_names_are_unique_in_a_group(group: str, here: Path) -> None:
    lasts = [name.rpartition("/")[2] for name in list_group_options(group)]
    assert len(lasts) == len(set(lasts))


def test_a_last_name_that_two_options_share_must_be_written_whole() -> None:
    with pytest.raises(UserError, match="could be a/x or b/x; write the whole name"):
        resolve_full_name("group", "x", ["a/x", "b/x"])
    assert resolve_full_name("group", "b/x", ["a/x", "b/x"]) == "b/x"


def test_what_the_user_s_conf_replaces_is_named(write: Callable[[str, str], Path]) -> None:
    write("conf/recipe/sgd_cosine.yaml", "")
    write("conf/recipe/mine.yaml", "")
    write("conf/base/retraining.yaml", "")
    write("conf/term/kd.yaml", "")
    write("conf/hydra/launcher/local.yaml", "")
    assert list_shadowing_files() == ["recipe/sgd_cosine", "base/retraining", "term/kd", "hydra/launcher/local"]
    assert "mine" in list_group_options("recipe")


@pytest.mark.parametrize("group", INCLUDED_GROUPS)
def test_what_options_take_in_is_never_an_option(group: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    included = list_group_options(group)
    assert included
    assert group not in list_config_groups()
    assert all(
        not {f"{group}/{name}" for name in included} & {*list_group_options(one)} for one in list_config_groups()
    )
    assert complete_line(f"convarium run {group}") == complete_line(f"convarium run {group}=") == []
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert f"\n  {group}:" not in capsys.readouterr().out
    for choice in (f"{group}={included[0]}", f"+{group}={included[0]}", f"{group}@architecture={included[0]}"):
        with pytest.raises(UserError, match="no such group or key"):
            compose_points([choice])


def test_our_own_folder_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(list_search_folders("conf")[-1].parent)
    assert len(list_search_folders("conf")) == 1


@pytest.fixture
def installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Install a distribution whose entry point names a package."""

    def install(package: str) -> Path:
        about = here / "site" / "acme-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[convarium.conf]\nacme = {package}\n")
        monkeypatch.syspath_prepend(here / "site")
        search_path._list_package_folders.cache_clear()
        return here / "site"

    yield install
    search_path._list_package_folders.cache_clear()


def test_an_installed_package_contributes_between_the_user_s_options_and_ours(
    installed: Callable[[str], Path], write: Callable[[str, str], Path]
) -> None:
    site = installed("acme_of_a_test")
    write("site/acme_of_a_test/__init__.py", "raise RuntimeError('a package is not imported for its options')")
    write("site/acme_of_a_test/conf/recipe/theirs.yaml", "")
    assert list_search_folders("conf") == [site / "acme_of_a_test/conf", search_path.find_builtin_folder("conf")]
    assert list_search_folders("sweeps") == [search_path.find_builtin_folder("sweeps")]
    write("conf/recipe/mine.yaml", "")
    assert list_search_folders("conf")[0] == Path.cwd() / "conf"
    assert {"mine", "theirs", "sgd_cosine"} <= set(list_group_options("recipe"))


def test_an_entry_point_that_names_no_package_is_one_line(installed: Callable[[str], Path]) -> None:
    installed("no_such_package_of_a_test")
    with pytest.raises(UserError, match="'no_such_package_of_a_test' of an installed package names no"):
        list_search_folders("conf")
