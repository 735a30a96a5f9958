import os
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.tracking.tracker_address import mask_passwords, remove_password, resolve_tracker_address

STORE = Path("outputs/store")


def test_without_an_address_it_is_a_file_beside_the_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert resolve_tracker_address(None, STORE) == f"sqlite:///{here}/outputs/mlflow.db"


def test_the_environment_is_heard_and_what_is_typed_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert resolve_tracker_address(None, STORE) == "http://host:5000"
    assert resolve_tracker_address("sqlite:///mine.db", STORE) == "sqlite:///mine.db"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("file:mlruns", "keeps no runs in plain files any more; write sqlite:///"),
        ("mlruns", "has no scheme"),
        ("mysql://u:geheim@host/db", "expected sqlite:///"),
        ("postgres://u:geheim@host/db", "write postgresql://"),
        ("databricks", "has no scheme"),
        ("sqlite://", "names no file"),
        ("http://", "names no host"),
        ("postgresql:///db", "names no host"),
        ("postgresql://u:ge geheim@host/db", "holds a space; write %20"),
        ("postgresql://u:ge@geheim@host/db", "holds a second @; write %40 for the one in the password"),
        ("mysql://host/db?user=me&password=geheim", "expected sqlite:///"),
        ("sqlite:///what?now/x.db", "'now/x.db' is not a parameter of a SQLite address; a . in a name is written %3F"),
        ("sqlite://x.db", "names no file; write sqlite:///outputs/mlflow.db, with three slashes"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///p%41/x.db", "is not there .a % in a name is written %25.; make it"),
    ],
)
def test_what_is_no_tracker_is_one_line_without_the_password(typed: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        resolve_tracker_address(typed, STORE)
    assert "geheim" not in str(caught.value)


def test_a_folder_that_is_not_there_is_made_beside_the_store_only(here: Path) -> None:
    assert resolve_tracker_address("sqlite:///outputs/mlflow.db", STORE) == "sqlite:///outputs/mlflow.db"
    with pytest.raises(UserError, match=f"the folder {here}/no/such is not there; make it, or name another file"):
        resolve_tracker_address("sqlite:///no/such/x.db", STORE)
    assert not list(here.iterdir())


def test_a_home_folder_is_expanded_and_parameters_of_sqlite_are_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert resolve_tracker_address("sqlite:///~/x.db", STORE) == f"sqlite:///{here}/x.db"
    assert resolve_tracker_address("sqlite:///x.db?timeout=60", STORE) == "sqlite:///x.db?timeout=60"


def test_a_folder_that_no_address_can_hold_is_one_line(here: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(here) + b"/\xff"))
    folder.mkdir()
    with pytest.raises(UserError, match="is not UTF-8, so no address can hold it; name another file"):
        resolve_tracker_address(None, folder / "store")


@pytest.mark.parametrize("secret", ["geheim", "ge:he@im", "ge%2Fheim", "a/b", "o'clock", 'a"b'])
def test_a_password_is_hidden_wherever_it_stands(secret: str) -> None:
    uri = f"postgresql://user:{secret}@host:5432/db"
    assert mask_passwords(f"tracking.uri={uri}") == "tracking.uri=postgresql://user:***@host:5432/db"
    assert secret not in remove_password(f"FATAL: {uri} refused", uri)


def test_a_decoded_password_is_hidden_too() -> None:
    assert "ge/heim" not in remove_password("password ge/heim is wrong", "postgresql://user:ge%2Fheim@host/db")


def test_a_password_among_the_parameters_is_hidden_too() -> None:
    uri = "postgresql://host/db?user=me&password=ge%2Fheim&sslmode=require"
    assert (
        mask_passwords(f"tracking.uri={uri}")
        == "tracking.uri=postgresql://host/db?user=me&password=***&sslmode=require"
    )
    assert "heim" not in remove_password(f"connection of me with ge/heim to {uri} failed", uri)
