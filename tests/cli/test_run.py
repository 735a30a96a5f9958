"""What `run` says of points whose stages failed: by the controller's word, not by a guess."""

import json
from typing import Any

import pytest

from command_lines import Call
from convarium.workers.node_status import NodeStatus


@pytest.mark.parametrize(
    ("stage", "status"), [("train", "blocked"), ("compress", "failed"), ("measure", "failed"), (None, "done")]
)
def test_a_point_is_failed_by_its_own_stages_and_blocked_by_those_before(
    stage: str | None, status: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(plan: Any, *_: Any) -> dict[str, NodeStatus]:
        broken = [signature for signature, node in plan.nodes.items() if node.stage == stage]
        return {
            key: NodeStatus("failed", f"{stage} broke") if key in broken else NodeStatus("done") for key in plan.nodes
        }

    monkeypatch.setattr("convarium.workers.controller.run_plan", run)
    monkeypatch.setattr("convarium.planning.validate.validate_points", lambda points, notes: {})
    code, out, _ = call("run", "--json", "compression=magnitude")
    (one,) = json.loads(out)["runs"]
    assert (code, one["status"]) == (int(stage is not None), status)
    assert one["error"] == (f"{stage} broke" if stage else None)


def test_a_method_that_does_not_fit_the_network_is_refused_before_anything_runs(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "convarium.planning.validate.validate_points", lambda points, notes: {1: "no site matches conv9*"}
    )
    code, out, error = call("run", "compression=none,magnitude")
    assert (code, out) == (2, "")
    assert error == "convarium: no site matches conv9*\n"
    assert call("plan", "--json", "compression=none,magnitude")[0] == 2
