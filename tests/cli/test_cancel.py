"""`convarium cancel` on hosts without a scheduler: which runs it ends, and which it leaves to their own process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import SMALL_MLP, Call
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.local_backend import LocalBackend
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.run_file import Run
from convarium.workers.run_owner import RunOwner, take_owner
from stages.stage_harness import plan_command_line

POINTS = (*SMALL_MLP, "seed=0,1")


@pytest.fixture
def store(here: Path) -> Store:
    store = Store(Path("outputs/store"))
    store.prepare()
    return store


@pytest.fixture
def local_run(store: Store) -> Run:
    """A run of the tests' own process, as `convarium run` begins one on this host."""
    return Run.begin(plan_command_line(*POINTS), store, 1)


@pytest.fixture
def owner(store: Store) -> RunOwner:
    """The owner of a search's run, in the hands of the tests' own process."""
    folder = store.root.resolve() / "searches" / "a"
    folder.mkdir(parents=True)
    owner = take_owner(store.root.resolve(), folder, LeaseManager(""))
    assert owner is not None
    return owner


@pytest.mark.parametrize("arguments", [(), ("runtime.store=elsewhere",)])
def test_asked_for_no_run_it_says_what_to_write(arguments: tuple[str, ...], call: Call) -> None:
    code, _, error = call("cancel", *arguments)
    words = "which run? give the points that it makes, as for convarium run, or its folder, STORE/runs/…"
    assert (code, error) == (2, f"convarium: convarium cancel: {words}\n")


def test_a_run_that_ends_with_its_command_is_left_to_ctrl_c(local_run: Run, call: Call) -> None:
    for arguments in (POINTS, (str(local_run.folder),), (str(local_run.file),)):
        code, _, error = call("cancel", *arguments)
        assert code == 2
        assert error.count("\n") == 1
        assert f"its workers end with {local_run.controller.host} process {local_run.controller.pid}" in error
        assert "press Ctrl-C there" in error
    assert not local_run.is_stopped


@pytest.mark.parametrize("arguments", [POINTS, (*SMALL_MLP, "seed=0")])
def test_a_run_that_is_not_there_is_refused(arguments: tuple[str, ...], local_run: Run, call: Call) -> None:
    local_run.remove()
    code, _, error = call("cancel", *arguments)
    words = "no run that makes just these points goes on in outputs/store; convarium status shows what does"
    assert (code, error) == (2, f"convarium: {words}\n")
    code, _, error = call("cancel", str(local_run.folder))
    assert (code, error) == (2, f"convarium: {local_run.folder}: the run is over\n")


def test_a_run_of_other_points_is_not_meant(local_run: Run, call: Call) -> None:
    code, _, error = call("cancel", *SMALL_MLP, "seed=0")
    assert (code, "no run that makes just these points" in error) == (2, True)
    assert not local_run.is_stopped


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_store/runs/0123456789abcdef"], "is not a run: expected the folder of one that is going on"),
        (["/nowhere"], "/nowhere is not a run: expected the folder of one that is going on"),
        (["tired"], "sweep=tired: no such sweep"),
        (["outputs/store/runs/0123456789abcdef", "seed=0"], "seed=0: convarium cancel takes one run's folder"),
        (["recipe.epoch=1"], "recipe.epoch: no such key (did you mean epochs?)"),
        (["--jsn", "seed=0"], "unrecognized arguments: --jsn; see convarium cancel --help"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, store: Store, call: Call) -> None:
    code, out, error = call("cancel", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert words in error


def test_a_run_without_its_store_is_one_line(here: Path, call: Call) -> None:
    code, _, error = call("cancel", *POINTS)
    assert (code, error.count("\n")) == (2, 1)
    assert "outputs/store is not a store" in error


def test_the_run_of_a_search_is_left_to_the_search_and_ended_once_that_is_dead(
    owner: RunOwner, store: Store, call: Call
) -> None:
    run = OpenRun.begin_or_attach(owner, store, OpenRunSettings(1), LocalBackend).run
    code, _, error = call("cancel", str(run.folder))
    assert (code, error.count("\n")) == (2, 1)
    assert "is the run of a search, which" in error
    owner.release()
    code, out, _ = call("cancel", str(run.folder))
    assert (code, out) == (0, f"the run {run.id} is over; what is done is stored\n")
    assert not run.folder.exists()


def test_a_sweep_may_be_named_alone(call: Call, write: Callable[[str, str], Path], store: Store) -> None:
    write("sweeps/tried.yaml", f"description: a try\nexpected_time: seconds\ngrids:\n  - [{', '.join(SMALL_MLP)}]\n")
    run = Run.begin(plan_command_line("sweep=tried"), store, 1)
    code, _, error = call("cancel", "tried")
    assert (code, str(run.folder) in error) == (2, True)
