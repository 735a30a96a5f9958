from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.store.plan import Node, Plan, PlannedPoint
from store.fake_run import node


def _plan() -> tuple[Plan, Node, Node, Node]:
    train = node("train")
    network = node("network", [train])
    measure = node("measure", [network, train])
    point = PlannedPoint(("seed=0",), {"seed": 0}, network.signature, train.signature, measure.signature)
    return Plan({one.signature: one for one in (train, network, measure)}, (point,)), train, network, measure


def test_a_plan_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    plan = _plan()[0]
    plan.write(tmp_path / "plan.json")
    again = Plan.read(tmp_path / "plan.json")
    assert again == plan
    assert again.hash == plan.hash
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_where_a_stage_runs_is_no_part_of_its_signature() -> None:
    assert node("a", journal=Path("here")).signature == node("a").signature
    assert node("a").signature != node("a", seed=1).signature


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": 0}')
    with pytest.raises(UserError, match="not a plan of format 3"):
        Plan.read(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "it holds no JSON object"),
        ("null", "it holds null"),
        ('{"format": 3, "nodes": []}', "it is not a complete plan ('points')"),
        ('{"format": 3, "nodes": [3], "points": []}', "it is not a complete plan ("),
        ('{"format": 3, "nodes": [], "points": [{"network": "a"}]}', "it is not a complete plan ("),
    ],
)
def test_what_is_json_but_no_plan_is_damaged(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError) as caught:
        Plan.read(tmp_path / "plan.json")
    assert f"{tmp_path / 'plan.json'} is damaged: {said}" in str(caught.value)


def test_a_plan_that_lacks_a_stage_it_asks_for_is_damaged(tmp_path: Path) -> None:
    plan, train, network, measure = _plan()
    Plan({one.signature: one for one in (train, measure)}, plan.points).write(tmp_path / "plan.json")
    with pytest.raises(UserError, match=f"the stage {network.signature} is not there"):
        Plan.read(tmp_path / "plan.json")


def test_only_what_leads_to_missing_results_is_needed() -> None:
    plan, train, network, measure = _plan()
    assert plan.needed(set()) == {train.signature, network.signature, measure.signature}
    assert plan.needed({train.signature}) == {network.signature, measure.signature}
    assert plan.needed({network.signature, measure.signature}) == set(), "the dense network is behind what is there"
