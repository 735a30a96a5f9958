"""The plan that a worker works for: that of a closed run never changes, of an open run it is the newest seen."""

import time
from contextlib import suppress

from convarium.errors import UserError
from convarium.planning.plan import Node, Plan
from convarium.planning.plan_file import read_plan_without_points
from convarium.workers.open_plan import find_newest_version, read_newest_plan
from convarium.workers.run_file import Run

LOOK_SECONDS = 1.0  # between looks from within a stage, which may save many checkpoints a second


class PlanFollower:
    """Follows the plan of a run, and never goes back to an older one.

    Attributes:
        plan: the newest that was seen, without points.

    Raises:
        UserError: the plan is not there, or is damaged.
        OSError: it can't be read.
    """

    plan: Plan

    def __init__(self, run: Run) -> None:
        self._folder = run.folder
        self._is_open = run.plan is None
        self._next_look_time = 0.0
        if run.plan is None:
            self._version, self.plan = read_newest_plan(run.folder)
        else:
            self.plan = read_plan_without_points(run.plan)

    def follow(self) -> None:
        """Read a newer plan, if there is one; one that can't be read yet is read at a later call."""
        if not self._is_open:
            return
        self._next_look_time = time.monotonic() + LOOK_SECONDS
        newest_version = find_newest_version(self._folder)
        if newest_version is None or newest_version <= self._version:
            return
        with suppress(UserError, OSError):
            version, plan = read_newest_plan(self._folder)
            if version > self._version:
                self._version, self.plan = version, plan

    def has_node(self, node: Node) -> bool:
        """Whether the plan asks for a node; looks for a newer plan at most once in LOOK_SECONDS."""
        if time.monotonic() >= self._next_look_time:
            self.follow()
        return node.signature in self.plan.nodes
