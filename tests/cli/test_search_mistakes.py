"""Mistakes in a search: one line, exit code 2, and nothing is left where they are found before a trial."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_lines import ONE_WORKER, Call
from convarium.config.override import Override
from convarium.search.command_line import parse_command_line
from convarium.search.search import compute_search_signature
from shared_folder import make_world_writable
from store.fake_run import SUBPROCESS_ENVIRONMENT

TINY = ("architecture=mlp", "dataset=digits", "dataset.train_size=100", "recipe.epochs=1", *ONE_WORKER)
RATES = "recipe.lr=tag(log,interval(0.001,0.3))"
OPTUNA = "search/strategy=optuna"
BITS = ("compression=[kmeans]", "compression.kmeans.bits=interval(2,6)")

MISTAKES = {
    "no space": ([], "nothing to search: give a key several values"),
    "upside down": (["recipe.lr=interval(0.3,0.001)"], "upside down: 0.3 is above 0.001"),
    "of a word": (["recipe.schedule=interval(0,1)"], "recipe.schedule has no range, expected one of constant"),
    "outside the key's range": (["recipe.lr=interval(-1,1)"], "recipe.lr=-1.0 is out of range"),
    "no choice has it": (
        ["compression=none,[kmeans]", "compression.magnitude.sparsity=interval(0.5,0.9)"],
        "no choice has this method; add magnitude to compression=[…]",
    ),
    "two datasets": (["dataset=digits,mnist5k"], "dataset can't be searched, trials would not be comparable"),
    "a fixed key": ([RATES, "recipe.epoch=3"], "recipe.epoch: no such key (did you mean epochs?)"),
    "no trials": ([RATES, "search.trials=0"], "search.trials=0 is out of range, expected int of at least 1"),
    "no seconds": ([RATES, "search.seconds=0"], "search.seconds=0.0 is out of range"),
    "several numbers of trials": ([RATES, "search.trials=10,20"], "has one value; run a search for each"),
    "a range of them": ([RATES, "search.trials=interval(1,9)"], "has one value; run a search for each"),
    "two strategies": ([RATES, "search/strategy=tpe,random"], "has one value; run a search for each"),
    "unknown key": ([RATES, "search.trial=3"], "search.trial: no such key (did you mean trials?)"),
    "no key": ([RATES, "search=fast"], "a search is set by its keys (search.trials=40)"),
    "unknown group": ([RATES, "search/sampler=tpe"], "search/sampler=tpe: no such group"),
    "unknown space": ([RATES, "search/space=pipelin"], "no such space (did you mean pipeline?)"),
    "unknown strategy": ([RATES, "search/strategy=tpee"], "no such strategy (did you mean tpe?)"),
    "unknown evaluator": ([RATES, "search/evaluator=ful"], "no such evaluator (did you mean full?)"),
    "unknown pruner": ([RATES, "search/pruner=medain"], "no such pruner (did you mean median?)"),
    "unknown knob": ([RATES, "search.strategy.startup=3"], "(did you mean startup_trials?)"),
    "a knob out of range": ([RATES, "search.strategy.startup_trials=0"], "startup_trials=0 is out of range"),
    "no sampler": ([RATES, OPTUNA], "search.strategy.sampler must be set"),
    "a sampler's slip": (
        [RATES, OPTUNA, "search.strategy.sampler=optuna.samplers:QMSampler"],
        "has no attribute 'QMSampler' (did you mean QMCSampler?)",
    ),
    "none of Optuna": ([RATES, OPTUNA, "search.strategy.sampler=json:loads"], "json:loads is no sampler of Optuna"),
    "not installed": ([RATES, OPTUNA, "search.strategy.sampler=lacking.samplers:X"], "has no 'lacking.samplers:X'"),
    "not its knob": (
        [RATES, OPTUNA, "search.strategy.sampler=optuna.samplers:QMCSampler", "search.strategy.knobs={foo: 1}"],
        "search.strategy.knobs: QMCSampler does not take them",
    ),
    "not for two objectives": (
        [RATES, OPTUNA, "search.strategy.sampler=optuna.samplers:CmaEsSampler", "search.objectives=[accuracy,macs]"],
        "search.strategy.sampler=optuna.samplers:CmaEsSampler needs a single objective",
    ),
    "not for an interval": (
        [RATES, OPTUNA, "search.strategy.sampler=optuna.samplers:GridSampler"],
        "needs a space of finitely many points: write range(LOW,HIGH,STEP)",
    ),
    "unknown objective": ([RATES, "search.objectives=[acuracy]"], "no such measure 'acuracy' (did you mean accuracy?)"),
    "no list": ([RATES, "search.objectives=accuracy"], "write search.objectives=[accuracy]"),
    "no objective": ([RATES, "search.objectives=[]"], "search.objectives is empty"),
    "repeated": ([RATES, "search.objectives=[accuracy,accuracy]"], "accuracy is there twice; leave one out"),
    "test images": ([RATES, "search.objectives=[test_loss]"], "test images are for reporting, never for choosing"),
    "limits of one figure": (
        [RATES, "search.constraints.accuracy=0.9", "search.constraints.validation_accuracy=0.8"],
        "limit the same figure; leave one out",
    ),
    "no share": ([RATES, "search.constraints.accuracy=97"], "no network meets it, expected a share of 0..1"),
    "in units": ([RATES, "search.constraints.file_bytes=40k"], "write search.constraints.file_bytes=40000"),
    "what no point meets": (
        [RATES, "search.constraints.macs=100"],
        "search.constraints: no point of the space meets them: macs 18944, limited to 100",
    ),
    "ratio without compression": ([RATES, "search.constraints.ratio=2"], "meets them: ratio 1, limited to 2"),
    "no curve": (
        [RATES, "search/pruner=median", "search.objectives=[file_bytes]"],
        "no curve is kept of file_bytes, only of accuracy; write search/pruner=none",
    ),
    "nothing trains": (
        [*BITS, "compression.kmeans.epochs=0", "recipe.epochs=1,2", "search/pruner=median"],
        "search/pruner=median needs",
    ),
    "a cost that is not known": (
        [*BITS, "compression.kmeans.epochs=1", "search/pruner=median", "search.objectives=[accuracy,file_bytes]"],
        "search/pruner=median needs each cost among several objectives to be known before training",
    ),
    "curves of several lengths": ([RATES, "recipe.epochs=1,2", "search/pruner=median"], "equally many epochs"),
    "not for two": (
        [RATES, "search/pruner=halving", "search.objectives=[accuracy,macs]"],
        "search/pruner=halving needs a single objective",
    ),
    "detached": ([RATES, "--detach"], "unrecognized arguments: --detach; write nohup convarium search … &"),
    "an option for a key": ([RATES, "--n-trials=20"], "write search.trials=20"),
    "multirun": ([RATES, "-m"], "-m: a search is one command: a comma is searched, not swept; leave -m out"),
    "a sweeper": ([RATES, "hydra/sweeper=optuna"], "write convarium search … search/strategy=tpe search.trials=40"),
    "a sweeper's key": ([RATES, "hydra.sweeper.n_trials=20"], "no sweeper is needed; write search/strategy=tpe"),
    "a template's space": (["hparams_search=mnist_optuna"], "write convarium search 'recipe.lr=tag(log,interval("),
    "a sweep": (["sweep=demo"], "a sweep lists its points; write convarium run sweep=NAME"),
    "unknown launcher": ([RATES, "hydra/launcher=slrm"], "hydra/launcher=slrm"),
    "no store": ([RATES, "runtime.store=/dev/null"], "the store /dev/null is not a folder"),
    "every point refused": ([RATES, "recipe.schedule=one_cycle"], "the schedule one_cycle has a rise of its own"),
    "chosen twice": (["search/space=pipeline", *BITS], "search/space=pipeline chooses it too; leave one of them out"),
    "unknown method left out": (
        ["search/space=pipeline", "search.space.without=[pruning/magnitud]"],
        "no such method pruning/magnitud (did you mean pruning/magnitude?)",
    ),
    "a range of seeds": ([RATES, "seed=interval(0,4)"], "seed=0,1,2 gives each trial the mean of three"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(kind: str, here: Path, call: Call) -> None:
    arguments, said = MISTAKES[kind]
    code, out, error = call("search", *TINY, *arguments)
    assert (code, out) == (2, "")
    assert said in _check_one_line(error)
    assert list(here.iterdir()) == []


def test_a_mistake_is_said_before_torch_is_imported(here: Path) -> None:
    code = "import sys; from convarium.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "search", *TINY, *MISTAKES["unknown strategy"][0]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, check=True)
    assert MISTAKES["unknown strategy"][1] in done.stderr
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("recipe.lr=interval(0.001,0.1)", "`convarium search` searches it"),
        ("search.trials=20", "write convarium search"),
        ("search/strategy=tpe", "write convarium search"),
        ("hparams_search=mnist_optuna", "write convarium search"),
        ("hydra/sweeper=optuna", "`convarium search` chooses points"),
    ],
)
def test_run_says_which_command_searches(typed: str, said: str, call: Call) -> None:
    code, out, error = call("run", typed)
    assert (code, out) == (2, "")
    assert said in _check_one_line(error)


FUNCTIONS = {
    "asks twice": ('return {"recipe.lr": choose.real("lr", 0, 1) + choose.real("lr", 0, 1)}', "lr"),
    "changes its options": (
        'return {"recipe.batch_size": choose.number("batch", [choose.number("least", [8, 16]), 64])}',
        "batch: its options changed from one trial to another",
    ),
    "returns nothing": ("return None", "its function returns None, expected values by key"),
    "sets what is no key": ('return {"recepie.lr": 0.1}', "no key that is searched"),
    "searches data": ('return {"dataset": choose.word("data", ["mnist", "digits"])}', "trials would not be comparable"),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_mistake_in_a_users_space_is_one_line(
    kind: str, call: Call, write: Callable[[str, str], Path], own_modules: None
) -> None:
    body, said = FUNCTIONS[kind]
    write("own_space.py", f"def own(choose, base):\n    {body}\n")
    write("conf/search/space/own.yaml", "function: own_space:own\nversion: 1\n")
    code, out, error = call("search", *TINY, "search/space=own")
    assert (code, out) == (2, "")
    assert said in _check_one_line(error)
    assert not Path("outputs").exists()


def test_a_space_whose_function_is_not_there_is_said(call: Call, write: Callable[[str, str], Path]) -> None:
    write("conf/search/space/own.yaml", "function: no_such_space:own\nversion: 1\n")
    code, _, error = call("search", *TINY, "search/space=own")
    assert code == 2
    assert "search.space.function=no_such_space:own" in _check_one_line(error)


DAMAGE = {
    "journal.log": ("{}\n[]\n{}\n", "journal.log is damaged: its line 2 is no JSON object"),
    "asked.jsonl": ("{}\n", "asked.jsonl is damaged: its line 1 is no asked trial"),
    "search.json": ("{\n", "search.json is damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_search_is_said_and_stays_as_it_is(name: str, here: Path, call: Call) -> None:
    text, said = DAMAGE[name]
    file = _find_search_folder(here) / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    code, out, error = call("search", *TINY, RATES)
    assert (code, out) == (2, "")
    assert said in _check_one_line(error)
    assert file.read_text() == text


def test_a_journal_of_another_format_is_said(here: Path, call: Call) -> None:
    file = _find_search_folder(here) / "journal.log"
    file.parent.mkdir(parents=True)
    file.write_text('{"op_code": 77, "worker_id": "w", "study_name": "s"}\n')
    code, _, error = call("search", *TINY, RATES)
    assert code == 2
    assert "is not of the format of Optuna" in _check_one_line(error)


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from convarium.cli import main
from convarium.config.override import Override
from convarium.planning.host_check import check_host
from convarium.search.session import parse_command_line
from convarium.store.store import Store
trial = parse_command_line([Override(text) for text in sys.argv[2:]]).possible_trial
check_host(list(trial.nodes.values()), Path(sys.argv[1]).with_name("cache"))
Store(Path("first")).prepare()  # what another user can't import here is imported
os.setgroups([])
os.setgid(4321)
os.setuid(4321)
raise SystemExit(main(["search", *sys.argv[2:], f"runtime.store={sys.argv[1]}"]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_store_that_can_t_be_written_to_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_world_writable(tmp_path_factory.mktemp("open"))
    (folder / "store").mkdir(mode=0o755)
    command = [sys.executable, "-c", AS_ANOTHER_USER, str(folder / "store"), *TINY, RATES]
    done = subprocess.run(command, env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "can't write to the store" in _check_one_line(done.stderr)


@pytest.fixture
def own_modules(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current folder is on the import path, and what is imported from it is forgotten again."""
    monkeypatch.syspath_prepend(str(here))
    yield
    sys.modules.pop("own_space", None)


def _find_search_folder(here: Path) -> Path:
    """Where a search of the tests lies in the default store of a folder."""
    request = parse_command_line([Override(text) for text in (*TINY, RATES)])
    return here / "outputs/store/searches" / compute_search_signature(request.search.describe())


def _check_one_line(error: str) -> str:
    assert error.startswith("convarium: "), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error
