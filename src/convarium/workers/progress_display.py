"""What shows a run to the user, as who controls or follows the run sees it."""

from typing import Protocol

from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers.ready_nodes import PlanState
from convarium.workers.run_file import Run


class ProgressDisplay(Protocol):
    """Shows a run to the user."""

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Show that the run starts from `plan_state`."""

    def update(self, plan_state: PlanState) -> None:
        """Show what has changed since the last call."""

    def end(self) -> None:
        """Close the display; the run has ended, with or without success."""
