"""What is remembered of failures, and times that say nothing, are forgotten when asked to."""

import json
from pathlib import Path

from convarium.errors import BudgetNotReachable
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.retry import remove_for_retry
from store.fake_run import launch_in_thread, make_fake_node, make_fake_plan, run_plan_silently


def remembered(root: Path) -> Plan:
    """One stage that can't be reached, which no run tries again by itself."""
    bad = make_fake_node("bad", stage="fail", how="user", journal=root / "journal")
    run_plan_silently(make_fake_plan(bad), root / "store", launch_in_thread)
    file = Store(root / "store").folder_of(bad) / "failed.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "kind": BudgetNotReachable.kind}))
    return make_fake_plan(bad)


def tries(root: Path) -> int:
    return len((root / "journal").read_text().splitlines())


def test_what_can_t_be_reached_is_tried_again_only_when_forgotten(tmp_path: Path) -> None:
    asked = remembered(tmp_path)
    run_plan_silently(asked, tmp_path / "store", launch_in_thread)
    assert tries(tmp_path) == 1
    assert remove_for_retry("failed", asked, Store(tmp_path / "store")) == 1
    run_plan_silently(asked, tmp_path / "store", launch_in_thread)
    assert tries(tmp_path) == 2


def test_what_somebody_works_on_is_not_touched(tmp_path: Path) -> None:
    asked = remembered(tmp_path)
    store = Store(tmp_path / "store")
    (bad,) = asked.nodes.values()
    assert LeaseManager("somebody").take(store.folder_of(bad))
    assert remove_for_retry("failed", asked, store) == 0
    assert store.find_failure(bad.signature) is not None


def test_void_times_go_and_others_stay(tmp_path: Path) -> None:
    void, good = make_fake_node("void"), make_fake_node("good")
    run_plan_silently(make_fake_plan(void, good), tmp_path, launch_in_thread)
    file = Store(tmp_path).folder_of(void) / "done.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "result": {**record["result"], "void": True}}))
    assert remove_for_retry("void", make_fake_plan(void, good), Store(tmp_path)) == 1
    assert Store(tmp_path).select_finished([void.signature, good.signature]) == {good.signature}
    assert remove_for_retry("void", make_fake_plan(void, good), Store(tmp_path)) == 0
