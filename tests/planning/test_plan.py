from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.planning.plan import Node, Plan, PlannedPoint
from store.fake_run import make_fake_node


def _plan() -> tuple[Plan, Node, Node, Node]:
    train = make_fake_node("train")
    network = make_fake_node("network", [train])
    measure = make_fake_node("measure", [network, train])
    point = PlannedPoint(("seed=0",), {"seed": 0}, network.signature, train.signature, measure.signature)
    return Plan({one.signature: one for one in (train, network, measure)}, (point,)), train, network, measure


def test_a_plan_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    plan = _plan()[0]
    plan.write(tmp_path / "plan.json")
    again = Plan.read(tmp_path / "plan.json")
    assert again == plan
    assert again.content_hash == plan.content_hash
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_where_a_stage_runs_is_no_part_of_its_signature() -> None:
    assert make_fake_node("a", journal=Path("here")).signature == make_fake_node("a").signature
    assert make_fake_node("a").signature != make_fake_node("a", seed=1).signature


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
    assert plan.select_needed(set()) == {train.signature, network.signature, measure.signature}
    assert plan.select_needed({train.signature}) == {network.signature, measure.signature}
    assert plan.select_needed({network.signature, measure.signature}) == set(), (
        "the dense network is behind what is there"
    )
