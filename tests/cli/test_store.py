"""`store merge` brings what another store holds: whole results, plans, verdicts; and refuses what can't be merged."""

import json
import shutil
from pathlib import Path

import pytest

from command_lines import Call, Pretend
from convarium.store.store import Store

LINE = ("architecture=mlp", "dataset=digits", "compression=none,magnitude")


@pytest.fixture
def there(pretend: Pretend) -> Path:
    """A store with two seeds and a verdict; the one here has the first of them."""
    pretend((*LINE, "seed=0"))
    pretend((*LINE, "seed=0,1"), root="there")
    (Path("there") / "checks").mkdir()
    (Path("there") / "checks" / "obs.json").write_text("{}")
    return Path("there")


def test_what_is_missing_comes_and_a_second_time_nothing(there: Path, call: Call) -> None:
    code, out, _ = call("store", "merge", "there", "--json")
    found = json.loads(out)
    assert (code, found["merged"], found["results"], found["present"]) == (0, True, 4, 4)
    assert (found["checks"], found["busy"]) == (1, [])
    assert len(list(Store(Path("outputs/store")).read_records())) == 8
    assert Path("outputs/store/checks/obs.json").read_text() == "{}"
    assert call("store", "merge", "there")[1].startswith("0 results, 0 bytes, came into outputs/store; 8 were there\n")


def test_a_dry_run_says_how_much_and_brings_nothing(there: Path, call: Call) -> None:
    code, out, _ = call("store", "merge", "there", "--dry-run", "--json")
    found = json.loads(out)
    assert (code, found["merged"], found["results"], found["checks"]) == (0, False, 4, 1)
    assert found["bytes"] > 4000
    assert len(list(Store(Path("outputs/store")).read_records())) == 4


def test_into_a_store_that_is_not_there_yet(there: Path, call: Call) -> None:
    assert call("store", "merge", "there", "runtime.store=new/store")[0] == 0
    assert json.loads(call("plan", "--json", "--fast", *LINE, "seed=0,1", "runtime.store=new/store")[1])["stored"] == 4


def test_a_result_that_says_something_else_stops_all(there: Path, call: Call) -> None:
    done = next((there / "train").glob("*s1-*/done.json"))
    record = json.loads(done.read_text())
    done.write_text(json.dumps({**record, "stage_config": {**record["stage_config"], "seed": 5}}))
    code, out, error = call("store", "merge", "there")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert f"{done.parent}: done.json tells another config than its signature; nothing is merged" in error
    assert len(list(Store(Path("outputs/store")).read_records())) == 4


def test_a_result_that_differs_from_the_one_here_stops_all(there: Path, call: Call) -> None:
    here = next(Path("outputs/store/train").glob("*/done.json"))
    record = json.loads(here.read_text())
    here.write_text(json.dumps({**record, "stage_config": {**record["stage_config"], "seed": 5}}))
    code, _, error = call("store", "merge", "there")
    assert (code, error.count("\n")) == (2, 1)
    assert f"done.json tells another config than {here.parent}; nothing is merged" in error


def test_another_format_is_one_line(there: Path, call: Call) -> None:
    (there / "store.json").write_text('{"format": 99}')
    code, _, error = call("store", "merge", "there")
    assert (code, error) == (
        2,
        "convarium: the store there has format 99, this version reads 2:"
        " set another runtime.store, or move that folder away\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["merge", "nowhere"], "nowhere is not a store: it has no store.json"),
        (["merge", "."], ". is not a store: it has no store.json"),
        (["merge", "outputs/store"], "outputs/store is the store itself"),
        (["merge", "outputs/../outputs/store/"], "is the store itself"),
        (["merge"], "which store? usage: convarium store merge OTHER"),
        (["mrege", "there"], "convarium store mrege: no such action (did you mean merge?)"),
        ([], "which action?"),
    ],
)
def test_what_is_no_store_to_merge_is_one_line(arguments: list[str], said: str, there: Path, call: Call) -> None:
    code, out, error = call("store", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error


def test_a_store_that_is_damaged_is_one_line(there: Path, call: Call) -> None:
    shutil.copy(__file__, next((there / "train").glob("*/done.json")))
    code, _, error = call("store", "merge", "there")
    assert (code, error.count("\n")) == (2, 1)
    assert "done.json is damaged" in error
