"""A path is taken as it is typed; of what can't be read it is said how it is quoted, and that form works."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli import main
from convarium.cli.command_parser import CommandParser
from convarium.compose.hydra_adapter import Composer
from convarium.compose.points import compose_points
from convarium.config import search_path
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.store.store import Store

ODD = [
    "a=b", "#1", "a#b", "(x)", "a(1)", "[x]", "[x]y", "{x}", "{a:b}", "a;b", "a&b", "it's", "!x", "a!", "~", "a~b",
    "a$b", '"', 'a"b', "a\\b", "a\\", "two words", " edges ", "ü", "日本", "2024", "1e5", "007", "true", "nan", "a`b`",
    "<a>", "^", "a:b", "C:\\new", "=", "'a'b", "line\nbreak", "%41", "what?now", "*", "|", "@", "-x", "x" * 300,
]  # fmt: skip
TEXTS = ["runtime.store", "dataset.root", "tracking.uri", "tracking.experiment"]


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(search_path.list_search_folders("conf"))


@pytest.mark.parametrize("typed", ODD)
def test_a_path_is_taken_as_it_is_typed(composer: Composer, typed: str) -> None:
    for key in TEXTS:
        (text,) = composer.expand_override(Override(f"{key}={typed}"))
        assert (text.key, composer.parse(text).value()) == (key, typed)
        assert composer.expand_override(text) == [text], "what a plan keeps is read as the same"


@pytest.mark.parametrize("typed", ODD)
def test_the_names_of_classes_may_lie_in_a_file_of_any_name(composer: Composer, typed: str) -> None:
    if typed.startswith("["):
        pytest.skip("a list of names")
    (text,) = composer.expand_override(Override(f"dataset.class_names={typed}"))
    assert composer.parse(text).value() == typed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a,b", ["a", "b"]),
        ("a#1,it's (x),~/c", ["a#1", "it's (x)", "~/c"]),
        ("a, b#", ["a", "b#"]),
        ("'a,b'", ["a,b"]),
        ('"a,b",c=d', ["a,b", "c=d"]),
        ("a\\,b", ["a,b"]),
        ("a\\ \\#b", ["a \\#b"]),
        ("choice(a,b)", ["a", "b"]),
        ("null", [None]),
    ],
)
def test_a_comma_sweeps_and_the_grammar_of_hydra_is_kept(composer: Composer, typed: str, meant: list[str]) -> None:
    found = composer.expand_override(Override(f"dataset.root={typed}"))
    assert [composer.parse(text).value() for text in found] == meant


def test_a_list_of_names_stays_a_list(composer: Composer) -> None:
    assert composer.parse("dataset.class_names=[cat,dog]").value() == ["cat", "dog"]


@pytest.mark.parametrize("typed", ["a(1,2)", "[a,b]", "a,,b", "a,", ",", "x{a,b}'\\"])
def test_a_comma_that_may_be_the_names_is_refused_with_a_form_that_works(composer: Composer, typed: str) -> None:
    with pytest.raises(UserError, match="a comma divides two values; one with a comma is quoted: ") as caught:
        composer.parse(f"dataset.root={typed}")
    assert composer.parse(advised(caught.value)).value() == typed


@pytest.mark.parametrize("typed", ["a#b", "it's", "a(b", "[1", "{", "a=(", "!", "~x", "ü;&", 'a"', "a\\#"])
def test_any_other_value_is_told_how_it_is_quoted(composer: Composer, typed: str) -> None:
    with pytest.raises(UserError, match="a text is quoted: ") as caught:
        composer.parse(f"recipe.optimizer={typed}")
    assert "LexerNoViableAlt" not in str(caught.value)
    assert composer.parse(advised(caught.value)).value() == typed


def advised(error: UserError) -> str:
    """The override that a shell makes of what is told."""
    (word,) = shlex.split(str(error).partition(" quoted: ")[2])
    return word


def test_two_stores_at_once_are_told_how_one_is_quoted(here: Path) -> None:
    with pytest.raises(UserError, match="can't be swept") as caught:
        compose_points(["runtime.store=a,b"])
    assert compose_points([advised(caught.value)]).runtime["store"] == "a,b"


def test_a_group_that_can_not_be_read_says_what_it_takes(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"'compression=\[magnitude': expected compression=NAME or \[first,second\]"):
        composer.parse("compression=[magnitude")


def test_a_home_folder_is_expanded_in_every_key(
    here: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    monkeypatch.setenv("HOME", str(here))
    asked = compose_points(["runtime.store=~/s", "dataset.root=~/d"])
    (point,) = asked.points
    assert (asked.runtime["store"], point.config["dataset"]["root"]) == (f"{here}/s", f"{here}/d")
    assert point.overrides == ("runtime.store='~/s'", "dataset.root='~/d'"), "as it was typed"
    assert compose_points(["runtime.store=~no-such-user/s"]).runtime["store"] == "~no-such-user/s"
    write("conf/dataset/mine.yaml", "defaults: [mnist5k]\nroot: ~/d\n")
    assert compose_points(["dataset=mine"]).points[0].config["dataset"]["root"] == f"{here}/d"


def test_a_home_folder_is_expanded_in_every_option(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(here))
    (here / "a=b.cvm").write_bytes(b"nothing")
    (here / "o").mkdir()
    Store(here / "s").prepare()
    said = {
        ("measure", "~/a=b.cvm"): f"{here}/a=b.cvm is not a valid .cvm",
        ("inspect", "~/a=b.cvm"): f"{here}/a=b.cvm is not a valid .cvm",
        ("verify", "~/a=b.cvm"): f"{here}/a=b.cvm",
        ("adopt", "~/a=b.cvm"): f"{here}/a=b.cvm is not a weights file",
        ("store", "merge", "~/nowhere"): f"{here}/nowhere is not a store",
        ("inspect", "abcd", "--deconvnet", "~/x.txt"): f"--deconvnet {here}/x.txt: expected a name",
        ("export", "abcd", "-o", "~/x.onnx", "--format", "cvm"): f"-o {here}/x.onnx: .onnx is the suffix",
        ("compare", "runtime.store=~/s", "--html", "~/o"): f"--html {here}/o: can't be written",
        ("compare", "runtime.store=~/s", "--csv", "~/o"): f"--csv {here}/o: can't be written",
    }
    for arguments, expected in said.items():
        assert main(arguments) == 2
        assert expected in capsys.readouterr().err
    parser = CommandParser("x", "y")
    assert parser.parse_with_word("file", ["~/a=b.cvm"])[1] == "~/a=b.cvm"
