"""The controller of a search: it asks for trials, has the workers make them, and tells what came of them.

It is the only process that knows Optuna; the workers are those of any run, which follow the plan of the trials in
flight. What is written is written in one order, so that a search that is cut anywhere goes on as an uncut one: the
journal before `asked.jsonl` before the plan, and what is told before the plan.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import optuna
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from convarium.compose.single_point import drop_idle_knobs
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.search.asked_trials import AskedTrial, append_asked_trial, read_asked_trials
from convarium.search.choosers import TrialChooser
from convarium.search.constraints import set_constraints
from convarium.search.journal import open_journal, open_study
from convarium.search.journal_end import OUTCOME_ATTRIBUTE
from convarium.search.limits import compute_excesses
from convarium.search.pruning import build_pruner
from convarium.search.search import Search
from convarium.search.search_folder import SearchFolder
from convarium.search.strategy import (
    build_sampler,
    check_journal_owner,
    has_asking_ended,
    let_sampler_end_asking,
    list_asked_distributions,
)
from convarium.search.tally import Tally
from convarium.search.trial import (
    Outcome,
    PreparedTrial,
    RunningTrial,
    prepare_trial,
    read_measures,
)
from convarium.search.watcher import Watcher
from convarium.store.store import Store
from convarium.workers.open_run import OpenRun, find_living_run
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_owner import RunOwner
from convarium.workers.wait_notice import WaitPrinter

STORED_ATTRIBUTE, MEASURES_ATTRIBUTE, REASON_ATTRIBUTE = "stored", "measures", "reason"


@dataclass(frozen=True)
class ToldTrial:
    """A trial that was just told, for a display."""

    number: int
    outcome: Outcome
    measures: dict[str, float]
    reason: str | None = None


class Study:
    """One search in the hands of its owner.

    Args:
        begin_run: begins the owner's run, or takes it over.
        show: is told of each trial; None: nothing is shown.
        step_count: how many steps a pruner sees of a trial.
    """

    def __init__(
        self,
        search: Search,
        folder: SearchFolder,
        owner: RunOwner,
        store: Store,
        begin_run: Callable[[], OpenRun],
        show: Callable[[ToldTrial], None] | None = None,
        step_count: int = 0,
    ) -> None:
        self._search, self._folder, self._owner, self._store = search, folder, owner, store
        self._begin_run, self._show = begin_run, show
        self._settings = search.settings.own
        self._open_run: OpenRun | None = None
        self._running: list[RunningTrial] = []
        self._published_signatures: set[str] | None = None
        self._wait_printer = WaitPrinter(sys.stderr)
        seconds = self._settings.seconds
        self._ends_asking_at = float("inf") if seconds is None else time.monotonic() + seconds
        check_journal_owner(search.strategy, folder.journal)
        self.asked = read_asked_trials(folder.asked_trials)
        storage: JournalStorage = open_journal(folder.journal, len(self.asked), owner.check)
        directions = [
            StudyDirection.MAXIMIZE if objective.is_higher_better else StudyDirection.MINIMIZE
            for objective in search.objectives
        ]
        self.study = open_study(storage, folder.signature, directions)
        let_sampler_end_asking(self.study)
        self.study.pruner = build_pruner(search.pruning, step_count, len(directions))
        self._watcher = Watcher(search.pruning, search.objectives, store)
        self.tally = Tally(self.study.get_trials(deepcopy=False))

    def run(self) -> None:
        """Ask and tell until there are as many trials as wanted, or no more can be asked.

        Raises:
            UserError: a mistake that concerns all trials, or too many in a row were refused.
            LeaseLost: another process has taken the search over.
            KeyboardInterrupt: the user stopped it; its workers are gone.
        """
        try:
            self._take_up_running_trials()
            self._ask_missing_trials()
            while self._running:
                plan_state = self._have_plan_made()
                told_count = self._tell_answered_trials(plan_state)
                self._ask_missing_trials()  # for workers that have come
                if self._open_run is not None and told_count == 0:
                    self._wait_printer.print_new(self._open_run.run.read_wait_notices())
                    self._open_run.wait()
        except BaseException:
            if self._open_run is not None:
                self._open_run.stop()
            raise
        if self._open_run is not None:
            self._open_run.end()

    def _take_up_running_trials(self) -> None:
        """Go on with the trials that an earlier controller has asked and not told, under their own numbers."""
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            overrides = tuple(map(Override, self.asked[frozen.number].overrides))
            prepared = prepare_trial(self._search, overrides)
            trial = optuna.Trial(self.study, frozen._trial_id)
            self._accept(trial, prepared, bool(frozen.user_attrs.get(STORED_ATTRIBUTE)))

    def _ask_missing_trials(self) -> None:
        while self._can_ask():
            self._ask()

    def _can_ask(self) -> bool:
        wanted = self._count_wanted_trials()
        is_full = sum(not running.was_stored for running in self._running) >= wanted or len(self._running) >= 2 * wanted
        has_all = self.tally.counted + len(self._running) >= self._settings.trials
        if is_full or has_all or time.monotonic() >= self._ends_asking_at:
            return False
        return not has_asking_ended(self._search.strategy, self.study, self._search.space.names())

    @property
    def _has_one_worker(self) -> bool:
        return self._open_run is not None and self._open_run.run.workers == 1

    def _count_wanted_trials(self) -> int:
        """Return how many trials are to be in flight: one for each living worker, and those ahead."""
        workers = 1 if self._open_run is None or self._has_one_worker else self._open_run.count_living_workers()
        return max(1, workers) + self._settings.ahead

    def _ask(self) -> None:
        search, number = self._search, len(self.asked)
        names = search.space.names()
        after_refusal = self.tally.was_turned_down(number - 1)
        self.study.sampler = build_sampler(search.strategy, self._settings.seed, number, names, after_refusal)
        if number < len(search.first) and not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.study.enqueue_trial(search.first[number])
        trial = self.study.ask(list_asked_distributions(search.strategy, names))
        chosen = search.space.choose(TrialChooser(trial), search.fixed)
        overrides = drop_idle_knobs(search.composer, (*search.fixed, *chosen))
        prepared = prepare_trial(search, overrides)
        was_stored = prepared.goals <= self._store.select_finished(prepared.goals)
        trial.set_user_attr(STORED_ATTRIBUTE, was_stored and prepared.refusal is None)
        asked = AskedTrial(number, tuple(map(str, overrides)), prepared.networks)
        append_asked_trial(self._folder.asked_trials, asked, self._owner.check)
        self.asked.append(asked)
        self._accept(trial, prepared, was_stored)

    def _accept(self, trial: optuna.Trial, prepared: PreparedTrial, was_stored: bool) -> None:
        """Let a trial run, or tell at once that it is not possible or too dear.

        Raises:
            UserError: too many in a row were.
        """
        excess = prepared.explain_broken_limit(self._search.limits)
        if prepared.refusal is not None:
            self._tell_without_values(trial, prepared, Outcome.REFUSED, prepared.refusal)
            self.tally.check_turned_down(trial.number, prepared.refusal)
        elif excess is not None:
            self._tell_without_values(trial, prepared, Outcome.GATED, excess)
            self.tally.check_turned_down(trial.number, excess)
        else:
            self._running.append(RunningTrial(trial, prepared, was_stored))

    def _have_plan_made(self) -> PlanState:
        """Give the workers the trials in flight; return the state of their stages.

        Nothing is begun where all is stored, unless workers of an earlier controller are there, which are then ended.
        """
        plan = _merge_plans(self._running)
        if self._open_run is None:
            needs_workers = not all(running.was_stored for running in self._running)
            if not needs_workers and find_living_run(self._owner) is None:
                return PlanMonitor(plan).read_state(self._store, "")
            self._open_run = self._begin_run()
        if self._published_signatures != plan.nodes.keys():
            self._open_run.change_plan(plan)
            self._published_signatures = set(plan.nodes)
        return self._open_run.look()

    def _tell_answered_trials(self, plan_state: PlanState) -> int:
        """Tell what came of trials, by number, and ask another for each; return how many were told.

        An answer that was stored when it was asked waits until those before it are told: what the sampler knows then
        does not depend on how quick the workers are.

        Raises:
            UserError: a stage failed by a mistake that is the user's to mend.
        """
        told_count = 0
        for running in list(self._running):
            if running.was_stored and running is not self._running[0]:
                continue
            pruned_step = self._watcher.find_pruned_step(running)
            failure = _find_failure(running.prepared, plan_state)
            if pruned_step is not None:  # also where it has come to its end since then: whoever looked in time left it
                reason = f"left at step {pruned_step}"
                self._tell_without_values(running.trial, running.prepared, Outcome.PRUNED, reason)
            elif failure is not None:
                self._tell_without_values(running.trial, running.prepared, Outcome.FAILED, failure)
            elif running.prepared.goals <= plan_state.done:
                self._tell_values(running)
            elif self._has_one_worker:
                break  # what a later trial reports was made after this one's answer, and is told after it
            else:
                continue
            self._running.remove(running)
            told_count += 1
            self._ask_missing_trials()
        return told_count

    def _tell_values(self, running: RunningTrial) -> None:
        measures = read_measures(self._search, running.prepared, self._store)
        trial = running.trial
        trial.set_user_attr(MEASURES_ATTRIBUTE, measures)
        trial.set_user_attr(OUTCOME_ATTRIBUTE, Outcome.COMPLETE)
        set_constraints(trial, compute_excesses(self._search.limits, measures))
        self.study.tell(trial, [measures[objective.metric] for objective in self._search.objectives])
        self._note_told(ToldTrial(trial.number, Outcome.COMPLETE, measures))

    def _tell_without_values(self, trial: optuna.Trial, prepared: PreparedTrial, outcome: Outcome, reason: str) -> None:
        trial.set_user_attr(REASON_ATTRIBUTE, reason)
        trial.set_user_attr(OUTCOME_ATTRIBUTE, outcome)
        mishap = outcome if outcome in (Outcome.REFUSED, Outcome.FAILED) else None
        set_constraints(trial, compute_excesses(self._search.limits, prepared.known_costs), mishap)
        self.study.tell(trial, state=TrialState.PRUNED)
        self._note_told(ToldTrial(trial.number, outcome, {}, reason))

    def _note_told(self, told: ToldTrial) -> None:
        self.tally.add(told.number, told.outcome)
        if self._show is not None:
            self._show(told)


def _merge_plans(trials: Iterable[RunningTrial]) -> Plan:
    """Return the plan of trials, those of smaller number first, which workers then take first."""
    plans = [plan for running in trials for plan in running.prepared.plans if plan is not None]
    nodes = {signature: node for plan in plans for signature, node in plan.nodes.items()}
    return Plan(nodes, tuple(point for plan in plans for point in plan.points))


def _find_failure(prepared: PreparedTrial, plan_state: PlanState) -> str | None:
    """Return the line of the first stage of a trial that failed, None where none did.

    Raises:
        UserError: it is the user's to mend, and no value such as a budget out of reach.
    """
    for signature, node in prepared.nodes.items():
        failure = plan_state.failed.get(signature)
        if failure is not None:
            line = f"{node.name}: {failure['error']}"
            if failure["mistake"] and failure.get("kind") is None:
                raise UserError(line)
            return line
    return None
