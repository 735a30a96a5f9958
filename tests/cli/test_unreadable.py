"""One folder that can't be read takes no command: the others are shown, and one line says which is left out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import Call, Pretend
from convarium.planning.plan import Node
from convarium.stages.declaration import find_stages
from convarium.store.store import Store
from convarium.upkeep.garbage import find_garbage
from convarium.workers.lease import LeaseManager

LINE = ("architecture=mlp", "dataset=digits", "seed=0,1")


def _directory(record: Path) -> str:
    record.unlink()
    record.mkdir()
    return "done.json: Is a directory"


def _garbage(record: Path) -> str:
    record.write_bytes(b"\xff\xfe")
    return "done.json is damaged"


def _circle(record: Path) -> str:
    record.unlink()
    record.symlink_to(record.name)
    return "done.json: Too many levels of symbolic links"


@pytest.fixture(params=[_directory, _garbage, _circle])
def said(request: pytest.FixtureRequest, nodes: list[Node]) -> str:
    """What is told of a store in which the training of the first seed can't be read."""
    told: str = request.param(Store(Path("outputs/store")).folder_of(nodes[0]) / "done.json")
    return told


@pytest.fixture
def nodes(pretend: Pretend) -> list[Node]:
    """Training and measurement of two seeds."""
    return sorted(pretend(LINE).nodes.values(), key=lambda node: (node.name, node.stage != "train"))


@pytest.mark.parametrize("command", ["ls", "compare", "status", "gc", "plan"])
def test_the_others_are_shown_and_one_line_tells_it(command: str, said: str, nodes: list[Node], call: Call) -> None:
    points = LINE if command in ("status", "plan") else ()
    code, out, error = call(command, *points)
    assert (code, error.count("\n")) == (0, 1)
    assert said in error
    assert str(Store(Path("outputs/store")).folder_of(nodes[0])) in error
    if command == "ls":
        assert nodes[0].signature not in out
        assert all(node.signature in out for node in nodes[1:])


def test_compare_shows_the_points_that_can_be_read(said: str, nodes: list[Node], call: Call) -> None:
    assert json.loads(call("compare", *LINE, "--json")[1])["rows"]


def test_what_is_made_from_it_and_what_is_not_are_shown(said: str, nodes: list[Node], call: Call) -> None:
    code, out, _ = call("show", nodes[2].signature)
    assert (code, nodes[3].signature in out) == (0, True)
    code, out, error = call("show", nodes[0].signature)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error


def test_it_is_never_garbage(said: str, nodes: list[Node], call: Call) -> None:
    folder = Store(Path("outputs/store")).folder_of(nodes[0])
    lease = LeaseManager("a run that is over").take(folder)
    assert lease is not None
    lease.release()
    assert folder not in [one.folder for one in find_garbage(Store(Path("outputs/store")), find_stages(), set())]
    call("gc", "--unfinished", "--outdated", "--unreferenced")
    assert (folder / "network.cvm").exists()


def test_the_others_are_merged(said: str, nodes: list[Node], call: Call) -> None:
    code, out, error = call("store", "merge", "outputs/store", "runtime.store=new")
    assert (code, error.count("\n")) == (2 if "damaged" in said else 1, 1)
    assert said in error
    assert out.startswith("3 results")
    assert all(Store(Path("new")).find_record(node.signature) for node in nodes[1:])


def test_the_others_are_merged_where_it_lies_here(said: str, nodes: list[Node], pretend: Pretend, call: Call) -> None:
    pretend((*LINE[:2], "seed=0,1,2"), root="there")
    code, out, error = call("store", "merge", "there")
    assert (code, error.count("\n")) == (2 if "damaged" in said else 1, 1)
    assert out.startswith("2 results")


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("mine"), lambda path: path.symlink_to("nowhere")])
def test_a_merge_goes_on_where_something_is_in_its_way(
    spoil: Callable[[Path], object], nodes: list[Node], call: Call
) -> None:
    new = Store(Path("new"))
    new.prepare()
    place = new.folder_of(nodes[0])
    place.parent.mkdir()
    spoil(place)
    code, out, error = call("store", "merge", "outputs/store", "runtime.store=new")
    assert (code, error.count("\n")) == (1, 1)
    assert str(place) in error
    assert out.startswith("3 results")
    assert "being made here" not in out


def test_what_the_disk_does_not_let_go_is_told_and_the_rest_goes(
    nodes: list[Node], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [Path(f"outputs/store/train/mlp-{digit * 12}") for digit in "ab"]
    for folder in folders:
        folder.mkdir()
        lease = LeaseManager("a run that is over").take(folder)
        assert lease is not None
        lease.release()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path == folders[0]:
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    code, out, error = call("gc", "--unfinished")
    assert (code, error) == (1, f"convarium: {folders[0]}: Permission denied; not removed\n")
    assert "unfinished: 1, 1,024 bytes removed" in out
    assert [folder.exists() for folder in folders] == [True, False]


@pytest.mark.parametrize("command", ["ls", "compare", "status", "gc", "sync"])
@pytest.mark.parametrize("place", ["nowhere", "nowhere/", "project", "outputs"])
def test_a_store_that_is_not_there_is_one_line(command: str, place: str, nodes: list[Node], call: Call) -> None:
    Path("project/train/train-202611281530").mkdir(parents=True)
    code, out, error = call(command, f"runtime.store={place}")
    assert (code, out) == (2, "")
    assert error == f"convarium: {place.rstrip('/')} is not a store: it has no store.json\n"
    assert not Path("nowhere").exists()


def test_points_of_a_store_that_is_not_there_are_missing(call: Call, here: Path) -> None:
    assert json.loads(call("compare", *LINE, "--json")[1])["missing"] == 2
    assert json.loads(call("plan", "--fast", *LINE, "--json")[1])["to_run"] == 2
    assert json.loads(call("status", *LINE, "--json")[1])["stages_left"] == 4


def test_results_are_read_where_only_the_stores_own_file_is_gone(nodes: list[Node], call: Call) -> None:
    Path("outputs/store/store.json").unlink()
    assert nodes[0].signature in call("ls")[1]
    assert call("compare")[0] == 0
    assert call("gc")[0] == 2


@pytest.mark.parametrize("command", ["run", "plan", "ls", "compare", "gc", "status", "sync"])
@pytest.mark.parametrize("link", ["outputs/store", "outputs"])
def test_a_link_that_leads_nowhere_is_no_store(command: str, link: str, nodes: list[Node], call: Call) -> None:
    shutil.rmtree("outputs")
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to("gone")
    code, out, error = call(command, *(LINE if command in ("run", "plan") else ()))
    assert (code, out) == (2, "")
    assert error == f"convarium: the store outputs/store: {link} is a link to gone, which is not there\n"


def test_nothing_is_made_through_a_link_that_leads_nowhere(call: Call, here: Path) -> None:
    Path("outputs").symlink_to("gone")
    code, _, error = call("run", *LINE, "runtime.store=outputs")
    assert (code, error) == (2, "convarium: the store outputs: outputs is a link to gone, which is not there\n")
    assert not Path("gone").exists()


@pytest.mark.parametrize("spoil", [lambda path: path.mkdir(), lambda path: path.write_text("{")])
def test_a_verdict_that_cant_be_read_leaves_the_catalogue(
    spoil: Callable[[Path], object], nodes: list[Node], call: Call
) -> None:
    verdict = Path("outputs/store/checks/kd.json")
    verdict.parent.mkdir()
    spoil(verdict)
    code, out, error = call("catalogue", "--json")
    assert (code, error.count("\n")) == (0, 1)
    assert str(verdict) in error
    assert "kd" in [row["id"] for row in json.loads(out)["rows"]]


def test_a_plan_that_cant_be_read_leaves_what_it_is_about(nodes: list[Node], call: Call) -> None:
    Path("outputs/store/plans/x.json").mkdir(parents=True)
    Path("outputs/store/plans/y.json").symlink_to("nowhere")
    assert call("show", nodes[0].signature)[0] == 0
    assert call("compare", "--html", "report.html")[0] == 0
    code, out, error = call("gc")
    assert (code, "unreferenced: 0" in out) == (0, True)
    assert "plans/x.json: Is a directory; what is unreferenced is not known" in error
    assert call("gc", "--unreferenced")[0] == 2
    assert call("store", "merge", "outputs/store", "runtime.store=new")[0] == 0
