"""Open sets are found by name: ours by convention, others by their import path."""

from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.lookup import allow_packages, find_allowed, find_by_name, find_named_packages, list_allowed_packages


def test_a_plain_name_is_the_module_of_that_name() -> None:
    from convarium.compression.terms.kd import kd

    assert find_by_name("compression.terms", "kd") is kd


def test_a_dotted_name_is_an_outside_one() -> None:
    assert find_by_name("compression.terms", "os.path:join")("a", "b") == str(Path("a") / "b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kdd", "compression.terms has no 'kdd'"),
        ("", "compression.terms has no ''"),
        ("context", "has no attribute 'context'"),
        ("no_such_package.deciders:mine", "compression.terms has no 'no_such_package.deciders:mine'"),
        ("os.path:no_such", "module os.path has no attribute 'no_such'"),
        ("os.path", "write a name of ours, or package.module:attribute"),
        ("..sites:check", "write a name of ours, or package.module:attribute"),
    ],
)
def test_a_name_that_is_not_there_is_one_line(name: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        find_by_name("compression.terms", name)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "bug", ["raise AttributeError('a bug')", "raise ValueError('a bug')", "import no_such_package"]
)
def test_a_bug_of_an_outside_module_is_not_mistaken_for_a_wrong_name(
    bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/broken.py").write_text(bug)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Exception, match=r"a bug|no_such_package") as error:
        find_by_name("compression.terms", "outside.broken:mine")
    assert not isinstance(error.value, UserError)


def test_what_a_file_names_is_found_only_where_its_package_is_allowed() -> None:
    with allow_packages(["os"]), allow_packages(["json"]):
        assert list_allowed_packages() == ["json", "os"]
        assert find_allowed("compression.terms", "os.path:join")("a", "b") == str(Path("a") / "b")
        with pytest.raises(UserError, match="shutil:rmtree: package shutil is not allowed here"):
            find_allowed("compression.terms", "shutil:rmtree")
    assert list_allowed_packages() == []


@pytest.mark.parametrize("name", ["os.path", "..os:x", "os:", ":x", "os:a.b", "os.path:join\n", "a" * 300 + ":x"])
def test_what_is_no_import_path_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match="write a name of ours") as error:
        find_allowed("compression.terms", name)
    assert str(error.value).isprintable()


def test_the_packages_that_a_config_names() -> None:
    config = {
        "name": "acme.nets:STAR",
        "steps": [{"decider": "other:f"}, {"a": 3, "b": None}],
        "lr": "1e-3",
        "x": "a: b",
    }
    assert find_named_packages(config) == {"acme", "other"}
