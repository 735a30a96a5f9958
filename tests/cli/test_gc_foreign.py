"""What `gc` removes is what a store wrote: not what is called so, not what lies beside it, not what a link leads to."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_lines import Call, Pretend
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager

EVERYTHING = ("gc", "--unfinished", "--outdated", "--cache")
STAMP = "train-202611281530"


@pytest.fixture
def node(pretend: Pretend) -> Node:
    """The training of a store at outputs/store whose results are there."""
    return next(iter(pretend(("architecture=mlp", "dataset=digits")).nodes.values()))


@pytest.fixture
def unfinished(node: Node) -> Path:
    """The folder of a stage that was stopped."""
    folder = Path("outputs/store/train/mlp-abcdefabcdef")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "train.ckpt").write_text("ours")
    _lease(folder)
    return folder


def _lease(folder: Path) -> None:
    lease = LeaseManager("a run that is over").take(folder)
    assert lease is not None
    lease.release()


def _write(folder: str, *names: str) -> list[Path]:
    files = [Path(folder, name) for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    return files


@pytest.mark.parametrize("place", ["outputs", ".", "project", "outputs/", "nowhere"])
def test_nothing_goes_where_no_store_is(place: str, unfinished: Path, call: Call) -> None:
    mine = _write(f"{place}/checkpoints/{STAMP}", "epoch10.ckpt") if place != "nowhere" else []
    mine += _write(f"{place.rstrip('/')}.cache", "pixels") if place == "project" else []
    code, out, error = call(*EVERYTHING, f"runtime.store={place}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert all(file.read_text() == "mine" for file in mine)
    assert unfinished.exists()


@pytest.mark.parametrize("text", ["", "''", "'  '", "${oc.env:UNSET_VARIABLE,''}", "${oc.env:UNSET_VARIABLE}", "null"])
@pytest.mark.parametrize("command", ["gc", "ls", "run", "plan", "compare", "status", "sync", "ui", "show", "measure"])
def test_a_store_without_a_name_is_refused_everywhere(command: str, text: str, node: Node, call: Call) -> None:
    given = {"show": ["abc"], "measure": ["net.cvm"]}.get(command, [])
    code, out, error = call(command, *given, f"runtime.store={text}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "runtime.store" in error
    assert sorted(path.name for path in Path().iterdir()) == ["outputs"]


@pytest.mark.parametrize("text", [".", "./", "..", "outputs/..", "/"])
@pytest.mark.parametrize("command", ["run", "plan", "ls"])
def test_the_folder_somebody_works_in_is_made_no_store(command: str, text: str, node: Node, call: Call) -> None:
    code, out, error = call(command, f"runtime.store={text}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "the folder you work in, or one above it; name one such as outputs/store" in error


def test_a_store_that_was_made_where_somebody_works_is_read(
    node: Node, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("outputs/store")
    assert node.signature in call("ls", "runtime.store=.")[1]


@pytest.mark.parametrize(
    "names",
    [
        ["checkpoints/epoch10.ckpt", "log.txt", "curves.jsonl"],
        ["done.json", "network.cvm"],
        ["failed.json", "lease.0", "work.0/batch"],
        ["lease.pdf", "model.onnx"],
    ],
)
@pytest.mark.parametrize("stage", ["train", "compress", "checkpoints", "runs", "plans"])
def test_what_is_called_like_a_stage_of_ours_is_none(
    stage: str, names: list[str], node: Node, unfinished: Path, call: Call
) -> None:
    mine = _write(f"outputs/store/{stage}/{STAMP}", *names)
    assert call(*EVERYTHING)[0] == 0
    assert all(file.read_text() == "mine" for file in mine)
    assert not unfinished.exists()


@pytest.mark.parametrize(
    "name",
    ["train/.gone.away", "train/.merge.notes", "photos/.gone." + "a" * 32, "runs/exp1", "runs/" + "1" * 16],
)
def test_what_is_called_like_something_laid_aside_is_none(name: str, node: Node, call: Call) -> None:
    (mine,) = _write(f"outputs/store/{name}", "run.json")
    controller = {"host": "", "boot": "", "space": "", "pid": 1, "start": ""}
    mine.write_text(json.dumps({"id": "x", "store": "", "plan": "", "workers": 1, "controller": controller}))
    os.utime(mine.parent, (0, 0))
    assert call(*EVERYTHING)[0] == 0
    assert mine.exists()


def test_what_is_called_like_the_cache_is_none(node: Node, call: Call) -> None:
    mine = _write("outputs/store.cache", "notes.txt", "pixels/photo.png", "pixels/cat-dog/pixels", "manifests/a.json")
    ours = _write("outputs/store.cache", f"pixels/x-train-{'0' * 16}/pixels", f"manifests/{'0' * 16}.json")
    beside_them = _write("outputs/store.cache", f"pixels/x-train-{'0' * 16}/mine.txt")
    assert call(*EVERYTHING)[0] == 0
    assert all(file.read_text() == "mine" for file in (*mine, *beside_them))
    assert not any(file.exists() for file in ours)


@pytest.mark.parametrize("done", [True, False])
def test_a_file_that_somebody_put_into_our_folder_stays_and_is_told(
    done: bool, node: Node, unfinished: Path, call: Call
) -> None:
    folder = unfinished
    if done:
        folder = Store(Path("outputs/store")).folder_of(node)
        (folder / "done.json").write_text((folder / "done.json").read_text().replace('"version": 2', '"version": 1'))
    mine = _write(str(folder), "notes.txt", "work.md", "lease.pdf", "work.notes/a", "photos/b")
    code, _, error = call(*EVERYTHING)
    assert code == 0
    assert f"{folder} holds what no stage wrote (lease.pdf, notes.txt, photos): that stays" in error
    assert all(file.read_text() == "mine" for file in mine)
    assert sorted(path.name for path in folder.iterdir()) == [
        "lease.pdf",
        "notes.txt",
        "photos",
        "work.md",
        "work.notes",
    ]
    assert call(*EVERYTHING)[2] == ""


def _linked_result(elsewhere: Path, here: Path) -> None:
    here.symlink_to(elsewhere / "x-abcdefabcdef")


def _linked_stage(elsewhere: Path, here: Path) -> None:
    here.parent.rename("outputs/store/was")
    here.parent.symlink_to(elsewhere)


def _linked_cache(elsewhere: Path, here: Path) -> None:
    Path("outputs/store.cache").symlink_to(elsewhere)


@pytest.mark.parametrize("link", [_linked_result, _linked_stage, _linked_cache])
def test_what_a_link_leads_to_stays(link: Callable[[Path, Path], None], node: Node, call: Call, here: Path) -> None:
    elsewhere = here / "elsewhere"
    (elsewhere / "x-abcdefabcdef").mkdir(parents=True)
    _lease(elsewhere / "x-abcdefabcdef")
    _write(str(elsewhere), f"pixels/x-train-{'0' * 16}/pixels")
    before = sorted(elsewhere.rglob("*"))
    link(elsewhere, Path("outputs/store/train/x-abcdefabcdef"))
    assert call(*EVERYTHING)[0] == 0
    assert sorted(elsewhere.rglob("*")) == before


def test_a_store_inside_a_store_stays(node: Node, unfinished: Path, call: Call) -> None:
    Store(Path("outputs")).prepare()
    Path("outputs/store").rename("outputs/train")
    before = sorted(Path("outputs/train").rglob("*"))
    assert call(*EVERYTHING, "runtime.store=outputs")[0] == 0
    assert sorted(Path("outputs/train").rglob("*")) == before


@pytest.mark.parametrize("text", ['{"format": 2, "items": []}', '{"name": "corner shop"}', "[]", "shop"])
def test_a_store_json_of_somebody_else_makes_no_store(text: str, node: Node, call: Call) -> None:
    mine = _write(f"shop/train/{STAMP}", "done.json")
    Path("shop/store.json").write_text(text)
    for command in ("gc", "ls", "compare", "run", "plan"):
        code, out, error = call(command, "runtime.store=shop")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert "store.json" in error
    assert all(file.read_text() == "mine" for file in mine)


@pytest.fixture
def spellings(here: Path) -> Iterator[str]:
    """Ways to name one store."""
    Path("link").symlink_to("outputs/store")
    return iter(
        ["link", "outputs/store/", "./outputs/store", "outputs/../outputs/store", str(here / "outputs" / "store")]
    )


def test_a_store_is_one_however_it_is_named(node: Node, spellings: Iterator[str], call: Call) -> None:
    for name in spellings:
        folder = Path("outputs/store/train/mlp-abcdefabcdef")
        folder.mkdir()
        _lease(folder)
        _write("outputs/store.cache", f"manifests/{'0' * 16}.json")
        assert call(*EVERYTHING, f"runtime.store={name}")[0] == 0
        assert not folder.exists()
        assert not Path("outputs/store.cache").exists()
