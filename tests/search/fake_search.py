"""`python -m search.fake_search STORE JOURNAL TRIALS WORKERS [override …]`: a real search of fake stages."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from typing import Any

from convarium.config.override import Override
from convarium.config.point import Point
from convarium.planning.plan import Plan, PlannedPoint
from convarium.search.command_line import build_search
from convarium.search.search import Search, compute_search_signature
from convarium.search.search_folder import open_search_folder
from convarium.search.study import Study
from convarium.search.summary import summarise_search
from convarium.store.store import Store
from convarium.workers.local_backend import LocalBackend
from convarium.workers.open_run import OpenRun, OpenRunSettings
from store.fake_run import make_fake_node

SPACE = ("architecture=mlp", "dataset=digits", "recipe.lr=tag(log,interval(0.001,0.3))", "recipe.epochs=range(1,9)")


@dataclass(frozen=True)
class FakeEvaluator:
    """Two fake stages for each point; the best learning rate is 0.03, and more epochs are better.

    Attributes:
        journal: gets a line for each stage that is begun.
    """

    journal: Path | None = None
    seconds: float = 0.0
    failing_epochs: int = 0

    def plan(self, point: Point) -> Plan:
        """A network of three epochs, and its score."""
        recipe, knobs = point.config["recipe"], {"journal": self.journal, "seconds": self.seconds}
        own = {"lr": recipe["lr"], "recipe_epochs": recipe["epochs"], "seed": point.config["seed"]}
        is_failing = recipe["epochs"] == self.failing_epochs
        failing: dict[str, Any] = {"stage": "fail", "how": "stage"} if is_failing else {}
        name = f"{recipe['lr']:.6f}-{recipe['epochs']}-s{point.config['seed']}"
        network = make_fake_node(f"network-{name}", epochs=3, **knobs, **own, **failing)
        score = make_fake_node(f"score-{name}", [network], **knobs, **own)
        planned = PlannedPoint(point.overrides, point.config, network.signature, network.signature, score.signature)
        return Plan({network.signature: network, score.signature: score}, (planned,))

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """A planted objective of two knobs and the seed."""
        assert plan is not None
        assert store.find_record(plan.points[0].measure) is not None
        recipe = point.config["recipe"]
        distance = 0.3 * abs(log10(recipe["lr"] / 0.03)) + 0.01 * (9 - recipe["epochs"]) + 0.001 * point.config["seed"]
        return {"validation_accuracy": 1 - distance, "file_bytes": 1000 * recipe["epochs"], "macs": 1.0}


OFFERS = ("validation_accuracy", "file_bytes", "macs")


def build_fake_search(*texts: str, evaluator: FakeEvaluator | None = None) -> Search:
    """The search of a command line, with fake stages."""
    search, _ = build_search([Override(text) for text in (*SPACE, *texts)])
    return replace(search, evaluator=evaluator or FakeEvaluator(), offers=OFFERS)


def run_fake_search(search: Search, root: Path, workers: int = 1) -> dict[str, Any]:
    """Search in this process, the workers in processes of their own; return the summary."""
    store = Store(root)
    store.prepare()
    folder, owner = open_search_folder(store, compute_search_signature(search.describe()))
    try:
        folder.write_description(search.describe(), "5.0.0")
        settings = OpenRunSettings(workers)
        study = Study(
            search, folder, owner, store, lambda: OpenRun.begin_or_attach(owner, store, settings, LocalBackend)
        )
        study.run()
        return summarise_search(search, folder, study.study, study.asked)
    finally:
        owner.release()


def read_trials(root: Path) -> Sequence[dict[str, Any]]:
    """What the journal of the only search of a store says of each trial, without times."""
    from optuna.trial import TrialState

    from convarium.search.journal import open_journal

    (folder,) = (root / "searches").iterdir()
    storage = open_journal(folder / "journal.log", sys.maxsize, lambda: None)
    (study,) = storage.get_all_studies()
    return [
        {
            "number": trial.number,
            "state": TrialState(trial.state).name,
            "params": trial.params,
            "values": trial.values,
            "outcome": trial.user_attrs.get("outcome"),
            "steps": dict(trial.intermediate_values),
        }
        for trial in storage.get_all_trials(study._study_id)
    ]


def main() -> None:
    """Run the search, once nobody else does; print the summary."""
    root, journal, trials, workers = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    evaluator = FakeEvaluator(journal, seconds=0.05)
    search = build_fake_search(f"search.trials={trials}", *sys.argv[5:], evaluator=evaluator)
    start = time.monotonic()
    summary = run_fake_search(search, root, workers)
    print(json.dumps({**summary, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
