import errno
import json
import os
import re
import time
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.store import Store
from store.fake_run import launch_in_processes, make_fake_node, make_fake_plan, run_plan_silently

THREE = [make_fake_node(f"n{index}") for index in range(3)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    run_plan_silently(make_fake_plan(*THREE), root, launch_in_processes, workers=1)
    return root


def test_results_are_found_by_signature_whatever_the_folder_is_called(filled: Path, tmp_path: Path) -> None:
    node_ = THREE[0]
    folder = Store(filled).folder_of(node_)
    assert folder.name == f"n0-{node_.signature}"
    renamed = tmp_path / folder.parent.name / f"other-name-{node_.signature}"
    renamed.parent.mkdir()
    renamed.mkdir()
    (renamed / "done.json").write_bytes((folder / "done.json").read_bytes())
    assert Store(tmp_path).folder_of(node_) == renamed
    assert Store(tmp_path).find_record(node_.signature) == Store(filled).find_record(node_.signature)


def test_a_result_made_by_another_process_is_found_later(filled: Path, tmp_path: Path) -> None:
    store, done = Store(tmp_path), Store(filled).find_record(THREE[0].signature)
    assert store.find_record(THREE[0].signature) is None
    for index, one in enumerate(THREE):
        folder = store.folder_of(one)
        folder.mkdir(parents=True)
        assert store.find_folder(one.signature) == folder
        assert store.find_record(one.signature) is None, "the folder alone is no result"
        disk.publish_json(folder / "done.json", done)
        assert store.find_record(one.signature) == done
        assert len(list(store.read_records())) == index + 1


def test_results_of_a_stage(filled: Path) -> None:
    store = Store(filled)
    assert [done["name"] for done in store.read_records("store.fake_stage:step")] == ["n0", "n1", "n2"]
    assert list(store.read_records("train")) == []


def test_the_children_of_a_result_are_read_and_no_other_record(tmp_path: Path) -> None:
    parent, other = make_fake_node("parent"), make_fake_node("other")
    children = [make_fake_node(f"child{index}", [parent]) for index in range(2)]
    grandchild = make_fake_node("grandchild", [children[0]])
    run_plan_silently(make_fake_plan(parent, other, *children, grandchild), tmp_path, launch_in_processes, workers=1)
    store = Store(tmp_path)
    (store.folder_of(other) / "done.json").write_text("not read")
    assert [child["name"] for child in store.find_children(parent.signature)] == ["child0", "child1"]
    assert store.find_children(other.signature) == []
    assert store.unreadable == {}


def test_a_unique_prefix_is_enough(filled: Path) -> None:
    store, signature = Store(filled), THREE[1].signature
    assert store.resolve_signature(signature[:9]) == signature
    for prefix in ("zz", signature + "0"):
        with pytest.raises(UserError, match=f"starts with '{prefix}'"):
            store.resolve_signature(prefix)
    with pytest.raises(UserError, match="a signature is expected"):
        store.resolve_signature("")


def test_an_ambiguous_prefix_names_what_it_could_mean(tmp_path: Path) -> None:
    for tail in "ab":
        (tmp_path / "train" / f"x-00000000000{tail}").mkdir(parents=True)
    with pytest.raises(UserError, match="'0000' is short for 2 signatures: 00000000000a, 00000000000b"):
        Store(tmp_path).resolve_signature("0000")


def test_a_store_that_is_not_there_holds_nothing_and_is_not_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert list(store.read_records()) == []
    assert store.find_record("0" * 12) is None
    assert not (tmp_path / "none").exists()


def test_two_commands_may_try_the_links_of_a_disk_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_while_another_tries(source: Path, target: Path) -> None:
        link(source, target)
        monkeypatch.setattr(os, "link", link)
        disk.require_hard_links(tmp_path)

    monkeypatch.setattr(os, "link", link_while_another_tries)
    disk.require_hard_links(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UserError, match="lies on a disk without hard links"):
        Store(tmp_path).prepare()
    assert not list(tmp_path.iterdir())


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"format": 7}))
    with pytest.raises(UserError, match="has format 7, this version reads 2"):
        Store(tmp_path)


def test_a_file_in_the_stores_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        Store(tmp_path / "store")


def test_a_folder_that_cant_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write to the store .*: Not a directory"):
        Store(tmp_path / "file" / "store").prepare()


def test_a_damaged_record_is_told_with_its_path(filled: Path, tmp_path: Path) -> None:
    folder = Store(tmp_path).folder_of(THREE[0])
    folder.mkdir(parents=True)
    (folder / "done.json").write_text('{"format": 2, "sig')
    store = Store(tmp_path)
    assert store.find_record(THREE[0].signature) is None
    with pytest.raises(UserError, match=r"n0-[0-9a-f]{12}/done.json is damaged: .*; remove the folder"):
        store.resolve_signature(THREE[0].signature)


WHOLE = {
    "format": 2, "signature": THREE[0].signature, "stage": "s", "version": 1, "stage_config": {}, "parents": [],
    "fingerprint": None, "name": "n0", "started": "", "seconds": 1.5, "result": {"metrics": {}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it holds no JSON object"),
        (3, "it holds no JSON object"),
        (None, "it holds null"),
        ({}, "it has no 'format'"),
        ({**WHOLE, "format": 99}, "its format is 99, this version reads 2"),
        ({**WHOLE, "parents": None}, "its 'parents' is of another type"),
        ({**WHOLE, "result": {}}, "its 'result' has no 'metrics'"),
        *(({name: WHOLE[name] for name in WHOLE if name != key}, f"it has no '{key}'") for key in WHOLE),
    ],
)
def test_a_record_that_is_json_but_none_is_damaged_and_can_be_made_again(
    value: object, said: str, tmp_path: Path
) -> None:
    folder = Store(tmp_path).folder_of(THREE[0])
    folder.mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps(WHOLE))
    assert Store(tmp_path).find_record(THREE[0].signature) == WHOLE
    (folder / "done.json").write_text(json.dumps(value))
    store = Store(tmp_path)
    assert list(store.read_records()) == []
    (error,) = store.unreadable.values()
    again = f"remove the folder {folder}, and the command that asked for it makes it again"
    assert str(error) == f"{folder / 'done.json'} is damaged: {said}; {again}"
    (folder / "done.json").write_text(json.dumps(WHOLE))
    assert store.find_record(THREE[0].signature) == WHOLE
    assert store.unreadable == {}


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"format": "1"}'])
def test_a_store_whose_header_is_damaged_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(UserError, match=r"store.json is damaged: it"):
        Store(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", "null", '{"attempts": 2}'])
def test_a_damaged_failure_is_told_and_can_be_removed(text: str, tmp_path: Path) -> None:
    folder = Store(tmp_path).folder_of(THREE[0])
    folder.mkdir(parents=True)
    (folder / "failed.json").write_text(text)
    failure = Store(tmp_path).find_failure(THREE[0].signature)
    assert failure is not None
    assert re.search(r"failed.json is damaged: .*; remove the file", failure["error"])
    assert Store(tmp_path).find_failures([THREE[0].signature], "this run") == {THREE[0].signature: failure}


def test_of_two_publishers_the_first_wins(tmp_path: Path) -> None:
    assert disk.publish_json(tmp_path / "done.json", {"by": 1})
    assert not disk.publish_json(tmp_path / "done.json", {"by": 2})
    assert disk.read_json(tmp_path / "done.json") == {"by": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["done.json"]


def test_a_folder_that_was_just_listed_is_not_listed_for_each_result_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a change could go unseen it is listed again, but for a twenty-first of the time at most."""
    (tmp_path / "step" / "name-0123456789ab").mkdir(parents=True)
    listings: list[str] = []

    def list_slowly(self: Store, stage: str) -> None:
        listings.append(stage)
        time.sleep(0.02)

    monkeypatch.setattr(Store, "_scan_stage", list_slowly)
    store = Store(tmp_path)
    for _ in range(200):
        assert store.find_folder("ffffffffffff") is None
    assert len(listings) < 5


def test_a_folder_that_vanishes_while_it_is_looked_for_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, make_folder = tmp_path / "runs", os.mkdir
    folder.mkdir()

    def remove_after_refusal(path: Path, *arguments: int) -> None:
        try:
            make_folder(path, *arguments)
        except FileExistsError:
            folder.rmdir()
            raise

    monkeypatch.setattr(os, "mkdir", remove_after_refusal)
    disk.make_folder(folder)
    assert folder.is_dir()
