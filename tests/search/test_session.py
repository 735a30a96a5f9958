"""What a search's command leaves behind: first trials, a control, a saved sweep, an audit, importances."""

import json
from pathlib import Path

import optuna
import pytest
import yaml

from command_lines import HERE, Call
from convarium.search.audit import audit_search
from convarium.search.journal import open_journal
from convarium.search.search_folder import SearchFolder
from convarium.search.summary import find_importances
from convarium.store.store import Store
from search.fake_search import FakeEvaluator, build_fake_search, read_trials, run_fake_search
from store.fake_run import SUBPROCESS_ENVIRONMENT

MLP = ("architecture=mlp", "dataset=digits", "dataset.train_size=100", "recipe.epochs=1")
RANDOM = "search/strategy=random"
SEARCH = (*MLP, "recipe.lr=0.01,0.03,0.1,0.2", "search.trials=3", *HERE)


@pytest.fixture(autouse=True)
def children_import_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])


def test_the_document_is_the_same_the_second_time(call: Call, here: Path) -> None:
    documents = []
    for _ in range(2):
        code, out, _ = call("search", *SEARCH, "--json")
        assert code == 0
        documents.append(json.loads(out))
    for document in documents:
        assert document.pop("seconds") > 0
    assert documents[0] == documents[1]
    assert documents[0]["trials"] == 3
    assert documents[0]["audit"] == ["all_random", "no_control", "few_searches", "not_retrained"]
    assert documents[0]["importances"] is None
    assert not list((here / "store" / "runs").iterdir())


def test_what_was_found_is_a_sweep_and_the_audit_sees_what_was_done(call: Call, here: Path) -> None:
    line = (*SEARCH, "search.control=random", "search.save=small")
    code, out, _ = call("search", *line, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["audit"] == ["all_random", "few_searches", "not_retrained"]
    assert document["best"][0]["found"] == "sweep=found/small"
    sweep = yaml.safe_load((here / "sweeps" / "found" / "small.yaml").read_text())
    assert len(sweep["grids"]) == 4  # the space has no more points
    assert {grid[-1] for grid in sweep["grids"]} == {"seed=1,2,3"}
    assert call("run", "sweep=found/small", *HERE)[0] == 0
    _, out, _ = call("search", *line, "--json")
    assert json.loads(out)["audit"] == ["all_random", "few_searches"]
    _, out, _ = call("search", *line)
    assert "to compare it fairly: convarium run sweep=found/small" in out
    assert "few_searches: fewer than three" in out


def test_a_file_of_another_content_is_not_overwritten(call: Call, here: Path) -> None:
    file = here / "sweeps" / "found" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("description: mine")
    code, _, err = call("search", *SEARCH, "search.save=mine")
    assert code == 2
    assert "sweeps/found/mine.yaml holds another sweep" in err
    assert file.read_text() == "description: mine"
    assert not (here / "store").exists()


@pytest.mark.parametrize("name", ["../mine", "", "a/b", ".hidden"])
def test_a_name_that_is_none_of_a_file_is_refused_before_anything_runs(name: str, call: Call, here: Path) -> None:
    code, _, err = call("search", *SEARCH, f"search.save='{name}'")
    assert code == 2
    assert "expected a name of letters" in err
    assert not (here / "store").exists()


def test_first_points_are_tried_first(tmp_path: Path) -> None:
    search = build_fake_search(
        "search.trials=4", 'search.first=[["recipe.lr=0.03","recipe.epochs=5"],["recipe.epochs=2"]]'
    )
    run_fake_search(search, tmp_path / "s")
    first, second, *_ = [trial["params"] for trial in read_trials(tmp_path / "s")]
    assert first == {"recipe.lr": 0.03, "recipe.epochs": 5}
    assert second["recipe.epochs"] == 2


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ('[["recipe.lr=0.9"]]', "recipe.lr=0.9 is none of the values that are searched"),
        ('[["recipe.momentum=0.5"]]', "recipe.momentum is not searched"),
        ('["recipe.lr=0.1"]', "expected a list of points"),
    ],
)
def test_first_points_outside_the_space_are_refused(first: str, said: str, call: Call, here: Path) -> None:
    code, _, err = call("search", *MLP, "recipe.lr=interval(0.01,0.1)", f"search.first={first}", *HERE)
    assert code == 2
    assert said in err


def test_the_learning_rate_is_what_matters_most_where_it_does(tmp_path: Path) -> None:
    search = build_fake_search("search.trials=60", "search/strategy=random", evaluator=FakeEvaluator())
    run_fake_search(search, tmp_path / "s", workers=2)
    (folder,) = (tmp_path / "s" / "searches").iterdir()
    storage = open_journal(folder / "journal.log", 60, lambda: None)
    importances = find_importances(optuna.load_study(study_name=folder.name, storage=storage))
    assert importances is not None
    assert importances["recipe.lr"] > importances["recipe.epochs"]


def test_a_control_counts_by_what_it_made_and_not_by_what_was_refused(tmp_path: Path) -> None:
    line = ("recipe.schedule=cosine,one_cycle", "search.trials=6", "search.seed=6")
    searched = build_fake_search(*line, "search/strategy=tpe")
    summaries = [run_fake_search(search, tmp_path) for search in (searched, build_fake_search(*line, RANDOM))]
    refused = [summary["refused"] for summary in summaries]
    assert refused[0] > refused[1]  # so that the control has asked for fewer trials in all
    assert [summary["trials"] for summary in summaries] == [6, 6]
    folder = SearchFolder(Path(summaries[0]["path"]))
    assert "no_control" not in audit_search(searched, folder, Store(tmp_path), [])


@pytest.mark.parametrize(("startup_trials", "is_random"), [(3, True), (2, False)])
def test_a_strategy_that_had_too_few_trials_to_learn_from_is_told(
    startup_trials: int, is_random: bool, tmp_path: Path
) -> None:
    search = build_fake_search("search.trials=3", f"search.strategy.startup_trials={startup_trials}")
    folder = SearchFolder(Path(run_fake_search(search, tmp_path)["path"]))
    assert ("all_random" in audit_search(search, folder, Store(tmp_path), [])) == is_random
