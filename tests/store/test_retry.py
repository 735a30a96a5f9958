"""What is remembered of failures, and times that say nothing, are forgotten when asked to."""

import json
from pathlib import Path

from convarium.errors import NotReachable
from convarium.store.lease import Leases
from convarium.store.plan import Plan
from convarium.store.retry import retry
from convarium.store.store import Store
from store.fake_run import in_this_thread, node, plan, run


def remembered(root: Path) -> Plan:
    """One stage that can't be reached, which no run tries again by itself."""
    bad = node("bad", stage="fail", how="user", journal=root / "journal")
    run(plan(bad), root / "store", in_this_thread)
    file = Store(root / "store").folder(bad) / "failed.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "kind": NotReachable.kind}))
    return plan(bad)


def tries(root: Path) -> int:
    return len((root / "journal").read_text().splitlines())


def test_what_can_t_be_reached_is_tried_again_only_when_forgotten(tmp_path: Path) -> None:
    asked = remembered(tmp_path)
    run(asked, tmp_path / "store", in_this_thread)
    assert tries(tmp_path) == 1
    assert retry("failed", asked, Store(tmp_path / "store")) == 1
    run(asked, tmp_path / "store", in_this_thread)
    assert tries(tmp_path) == 2


def test_what_somebody_works_on_is_not_touched(tmp_path: Path) -> None:
    asked = remembered(tmp_path)
    store = Store(tmp_path / "store")
    (bad,) = asked.nodes.values()
    assert Leases("somebody").take(store.folder(bad))
    assert retry("failed", asked, store) == 0
    assert store.failed(bad.signature) is not None


def test_void_times_go_and_others_stay(tmp_path: Path) -> None:
    void, good = node("void"), node("good")
    run(plan(void, good), tmp_path, in_this_thread)
    file = Store(tmp_path).folder(void) / "done.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "result": {**record["result"], "void": True}}))
    assert retry("void", plan(void, good), Store(tmp_path)) == 1
    assert Store(tmp_path).finished([void.signature, good.signature]) == {good.signature}
    assert retry("void", plan(void, good), Store(tmp_path)) == 0
