"""An owner that is known to be dead: its lease is marked, and the folder is free at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convarium.host.process import current_process
from convarium.workers import lease as lease_module
from convarium.workers.lease import Lease, LeaseLost, LeaseManager
from convarium.workers.lease_file import create_lease_file, list_lease_numbers


def _take(leases: LeaseManager, folder: Path) -> Lease:
    lease = leases.take(folder)
    assert lease is not None
    return lease


def test_a_folder_whose_owner_is_known_to_be_dead_is_free_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(current_process(), host="elsewhere")
    monkeypatch.setattr(lease_module, "current_process", lambda: elsewhere)
    stale = _take(LeaseManager("run"), tmp_path)
    monkeypatch.undo()
    assert LeaseManager("run").take(tmp_path) is None
    assert LeaseManager("run").mark_dead(tmp_path, stale.token)
    with pytest.raises(LeaseLost):
        stale.check()
    assert _take(LeaseManager("run"), tmp_path).deaths == 1


def test_who_has_taken_over_meanwhile_keeps_the_folder(tmp_path: Path) -> None:
    first = _take(LeaseManager("run"), tmp_path)
    first.release()
    second = _take(LeaseManager("run"), tmp_path)
    assert not LeaseManager("run").mark_dead(tmp_path, first.token)
    second.check()
    second.release()
    assert not LeaseManager("run").mark_dead(tmp_path, second.token)  # it was given back: nobody died


def test_no_lease_is_left_of_an_owner_that_has_stored_its_result_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = _take(LeaseManager("run"), tmp_path)
    late: list[Lease] = []

    def create_after_the_owners_end(folder: Path, number: int, content: dict[str, Any]) -> bool:
        owner.remove()
        monkeypatch.undo()
        late.append(_take(LeaseManager("run"), folder))  # with the same number
        return create_lease_file(folder, number, content)

    monkeypatch.setattr(lease_module, "create_lease_file", create_after_the_owners_end)
    assert not LeaseManager("run").mark_dead(tmp_path, owner.token)
    assert list_lease_numbers(tmp_path) == [late[0].number]
    late[0].check()
    late[0].remove()
    assert list_lease_numbers(tmp_path) == []


def test_who_has_the_same_number_after_the_result_was_stored_keeps_the_folder(tmp_path: Path) -> None:
    first = _take(LeaseManager("run"), tmp_path)
    first.remove()
    late = _take(LeaseManager("run"), tmp_path)
    assert late.number == first.number
    assert not LeaseManager("run").mark_dead(tmp_path, first.token)
    late.check()
