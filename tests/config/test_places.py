"""Where configs lie and what they are called."""

from collections.abc import Callable
from pathlib import Path

import pytest

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
    assert shadowed() == ["recipe/sgd_cosine"]
    assert "mine" in options("recipe")


def test_our_own_folder_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders("conf")[-1].parent)
    assert len(folders("conf")) == 1
