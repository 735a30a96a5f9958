"""Where configs lie and what they are called."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convarium.config import places
from convarium.config.places import folders, full_name, groups, options, shadowed
from convarium.errors import UserError


@pytest.mark.parametrize("group", groups())
def test_last_names_are_unique_in_a_group(group: str, here: Path) -> None:
    lasts = [name.rpartition("/")[2] for name in options(group)]
    assert len(lasts) == len(set(lasts))


def test_a_last_name_that_two_options_share_must_be_written_whole() -> None:
    with pytest.raises(UserError, match="could be a/x or b/x; write the whole name"):
        full_name("group", "x", ["a/x", "b/x"])
    assert full_name("group", "b/x", ["a/x", "b/x"]) == "b/x"


def test_what_the_user_s_conf_replaces_is_named(write: Callable[[str, str], Path]) -> None:
    write("conf/recipe/sgd_cosine.yaml", "")
    write("conf/recipe/mine.yaml", "")
    write("conf/term/kd.yaml", "")
    write("conf/hydra/launcher/local.yaml", "")
    assert shadowed() == ["recipe/sgd_cosine", "term/kd", "hydra/launcher/local"]
    assert "mine" in options("recipe")


def test_our_own_folder_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders("conf")[-1].parent)
    assert len(folders("conf")) == 1


@pytest.fixture
def installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Install a distribution whose entry point names a package."""

    def install(package: str) -> Path:
        about = here / "site" / "acme-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[convarium.conf]\nacme = {package}\n")
        monkeypatch.syspath_prepend(here / "site")
        places._packages.cache_clear()
        return here / "site"

    yield install
    places._packages.cache_clear()


def test_an_installed_package_contributes_between_the_user_s_options_and_ours(
    installed: Callable[[str], Path], write: Callable[[str, str], Path]
) -> None:
    site = installed("acme_of_a_test")
    write("site/acme_of_a_test/__init__.py", "raise RuntimeError('a package is not imported for its options')")
    write("site/acme_of_a_test/conf/recipe/theirs.yaml", "")
    assert folders("conf") == [site / "acme_of_a_test/conf", places.ours("conf")]
    assert folders("sweeps") == [places.ours("sweeps")]
    write("conf/recipe/mine.yaml", "")
    assert folders("conf")[0] == Path.cwd() / "conf"
    assert {"mine", "theirs", "sgd_cosine"} <= set(options("recipe"))


def test_an_entry_point_that_names_no_package_is_one_line(installed: Callable[[str], Path]) -> None:
    installed("no_such_package_of_a_test")
    with pytest.raises(UserError, match="'no_such_package_of_a_test' of an installed package names no"):
        folders("conf")
