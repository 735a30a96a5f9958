"""The ready nodes of a plan in the order in which one worker tries them."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import groupby

from convarium.pause import compute_pause
from convarium.planning.plan import Node, Plan
from convarium.store.store import Store
from convarium.workers.ready_nodes import PlanMonitor


class NodeQueue:
    """The nodes that were ready at the last survey of the store, and those that this worker has made ready since.

    A survey reads the state of the whole plan, which at ten thousand points costs as much as many short stages. So it
    is made again only after a pause of many times its own duration. Whoever takes a node looks at that node's folder,
    since another worker may have made it after the survey.

    Args:
        workers: how many share the plan.
        worker_number: below `workers`. Each begins at another place among nodes of equal rank, so that workers rarely
            want the same node.
        is_open: whether the plan is replaced while the run goes on; nodes of an earlier goal then go first.
        can_run: whether this worker can take a node at all; it never gets those that it can't.

    Attributes:
        plan: whose nodes it holds.
        left_to_others: the nodes that were ready at the last survey and that this worker can't take.
        ready_count: how many nodes were ready at the last survey, in the hands of workers or not.
        done: signatures of the results that are known to be stored.
        is_finished: whether the last survey found no node that is left to run.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        run_id: str,
        workers: int = 1,
        worker_number: int = 0,
        is_open: bool = False,
        can_run: Callable[[Node], bool] = lambda node: True,
    ) -> None:
        self._store, self._run_id, self._can_run = store, run_id, can_run
        self._workers, self._worker_number = workers, worker_number
        self.done: set[str] = set()
        self.replace_plan(plan, is_open)

    def replace_plan(self, plan: Plan, is_open: bool = True) -> None:
        """Take the nodes from another plan from now on."""
        self.plan = plan
        self._monitor = PlanMonitor(plan, self._workers, self._worker_number, is_open)
        self._children: defaultdict[str, list[Node]] = defaultdict(list)
        for node in plan.nodes.values():
            for parent in node.parents:
                self._children[parent].append(node)
        self._ready: deque[Node] = deque()
        self._deferred: list[Node] = []
        self._next_survey_time = 0.0
        self.left_to_others: list[Node] = []
        self.ready_count = 0
        self.is_finished = False

    def survey_if_due(self) -> bool:
        """Read the state of the plan, if the last survey is long enough ago; return whether it showed new results."""
        start = time.monotonic()
        if start < self._next_survey_time:
            return False
        plan_state = self._monitor.read_state(self._store, self._run_id, self.done)
        has_progress = len(plan_state.done) > len(self.done)
        self.done = set(plan_state.done)
        self.ready_count = len(plan_state.ready)
        self.is_finished = plan_state.is_finished
        self._ready = deque(self._rotate_equals(filter(self._can_run, plan_state.ready)))
        self.left_to_others = [node for node in plan_state.ready if not self._can_run(node)]
        self._deferred = []
        end = time.monotonic()
        self._next_survey_time = end + compute_pause(end - start)
        return has_progress

    def pop(self) -> Node | None:
        """Return the next node, None where all have been tried since the last survey."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, node: Node) -> None:
        """Make a node the next one again."""
        self._ready.appendleft(node)

    def defer(self, node: Node) -> None:
        """Put aside a node that could not get the host to itself."""
        self._deferred.append(node)

    def take_all(self, is_wanted: Callable[[Node], bool]) -> list[Node]:
        """Remove and return all nodes, deferred ones first, for which `is_wanted` holds."""
        wanted = [node for node in (*self._deferred, *self._ready) if is_wanted(node)]
        self._deferred = [node for node in self._deferred if not is_wanted(node)]
        self._ready = deque(node for node in self._ready if not is_wanted(node))
        return wanted

    @property
    def deferred(self) -> tuple[Node, ...]:
        """The nodes that were put aside since the last survey."""
        return tuple(self._deferred)

    def mark_done(self, node: Node) -> None:
        """Note that a node's result is stored."""
        self.done.add(node.signature)

    def add_children(self, node: Node) -> None:
        """Put those children of a finished node first that it has made ready: the worker's cache holds their parent."""
        for child in sorted(self._children[node.signature], key=self._monitor.build_sort_key, reverse=True):
            is_ready = child.signature not in self.done and self.done.issuperset(child.parents)
            if is_ready and self._can_run(child):
                self._ready.appendleft(child)

    def _rotate_equals(self, nodes: Iterable[Node]) -> list[Node]:
        rotated: list[Node] = []
        for _, group in groupby(nodes, key=lambda node: self._monitor.build_sort_key(node)[:-1]):
            equals = list(group)
            start = self._worker_number * len(equals) // self._workers
            rotated += equals[start:] + equals[:start]
        return rotated
