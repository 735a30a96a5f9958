"""The journal of a search: what kills, a full disk and strangers leave in it."""

import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.study import StudyDirection

from convarium.errors import UserError
from convarium.search.journal import open_journal, open_study
from convarium.search.reports import report_step
from convarium.workers.lease import LeaseLost
from waiting import wait_until

LARGE = 10**9  # more trials than any journal here has: none of them is an unfinished ask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def _own() -> None:
    """This process owns the search."""


def _open_study(path: Path, asked_count: int = LARGE, objectives: int = 1) -> optuna.Study:
    return open_study(open_journal(path, asked_count, _own), "3f9c01aa27de", [StudyDirection.MAXIMIZE] * objectives)


def _ask(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("lr", 0.001, 0.3, log=True)
    trial.suggest_int("bits", 2, 6)
    return trial


def test_a_study_is_read_back_as_it_was_written(path: Path) -> None:
    study = _open_study(path)
    for value in (0.1, 0.5):
        study.tell(_ask(study), value)
    running = _ask(study)
    assert [trial.params for trial in _open_study(path).trials] == [trial.params for trial in study.trials]
    assert _open_study(path).best_value == 0.5
    assert optuna.Trial(_open_study(path), running._trial_id).params == running.params


def test_opening_a_study_again_writes_nothing(path: Path) -> None:
    _open_study(path)
    before = path.read_bytes()
    _open_study(path)
    assert path.read_bytes() == before


def test_a_line_without_its_end_is_cut_off_before_the_next_is_appended(path: Path) -> None:
    study = _open_study(path)
    complete = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"worker_')  # what a full disk took of a line
    _ask(study)
    assert path.read_bytes().startswith(complete + b'{"op_code":4,"worker_id":')
    assert len(_open_study(path).trials) == 1


def test_a_disk_that_is_full_for_a_while_costs_the_one_write_alone(path: Path) -> None:
    study = _open_study(path)
    with _room_for(path, further_bytes=10), pytest.raises(OSError, match="too large"):
        study.ask()
    assert not path.read_bytes().endswith(b"\n")
    assert _ask(study).number == 0
    assert len(_open_study(path).trials) == 1


@contextmanager
def _room_for(path: Path, further_bytes: int) -> Iterator[None]:
    """Let files grow to a size at which the next line does not fit any more."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + further_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("rest", [b"\0" * 300, b"\0" * 300 + b"\n", b'{"op_co\n', b"{}"])
def test_a_damaged_last_line_is_cut_off_when_the_journal_is_opened(path: Path, rest: bytes) -> None:
    _ask(_open_study(path))
    complete = path.read_bytes()
    path.write_bytes(complete + rest)
    assert len(_open_study(path).trials) == 1
    assert path.read_bytes() == complete


def test_an_unfinished_line_longer_than_what_is_read_at_once_is_cut_off(path: Path) -> None:
    _ask(_open_study(path))
    complete = path.read_bytes()
    path.write_bytes(complete + b"x" * 200_000)
    _open_study(path)
    assert path.read_bytes() == complete


@pytest.mark.parametrize("damaged", [b"\0\0\0\n", b"[4]\n", b'{"op_code":4\n'])
def test_a_journal_that_is_damaged_before_its_last_line_is_refused_in_one_line(path: Path, damaged: bytes) -> None:
    _ask(_open_study(path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], damaged, *lines[1:]]))
    with pytest.raises(UserError, match=r"journal\.log is damaged: its line 2 is no JSON object$"):
        _open_study(path)


@pytest.mark.parametrize("line", [{"op_code": 99}, {"operation": "CREATE_TRIAL"}, {"op_code": 5, "trial_id": 0}])
def test_a_journal_of_another_format_is_refused_in_one_line(path: Path, line: dict[str, object]) -> None:
    _ask(_open_study(path))
    line_count = len(path.read_bytes().splitlines())
    with path.open("a") as file:
        file.write(json.dumps({"worker_id": "-", **line}) + "\n")
        file.write(json.dumps({"op_code": 10, "worker_id": "-"}) + "\n")
    with pytest.raises(UserError, match=rf"not of the format of Optuna 5\S*: its line {line_count + 1} can't be"):
        _open_study(path)


def test_an_owner_that_lost_its_lease_writes_nothing(path: Path) -> None:
    def lose() -> None:
        raise LeaseLost("another controller has taken over the search")

    _open_study(path)
    before = path.read_bytes()
    with pytest.raises(LeaseLost):
        open_journal(path, LARGE, lose)
    assert path.read_bytes() == before


def test_killed_writers_leave_a_whole_journal_and_nobody_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # more writes, so that more kills meet one
    _open_study(path)
    randomness = random.Random(0)
    for _ in range(6):
        size = path.stat().st_size + randomness.randint(2_000, 20_000)
        writer = _fork(lambda: _write_for_ever(path))
        wait_until(partial(_has_size, path, size))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        start = time.monotonic()
        study = _open_study(path)
        study.tell(_ask(study), 1.0)
        assert time.monotonic() - start < 10  # Optuna's own lock would take 30 s
    lines = path.read_text().splitlines()
    assert len([json.loads(line) for line in lines]) > 100


def _has_size(path: Path, size: int) -> bool:
    return path.stat().st_size >= size


def _write_for_ever(path: Path) -> None:
    study = _open_study(path)
    while True:
        study.tell(_ask(study), 0.0)


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def test_an_ask_that_was_not_finished_is_made_again_under_its_number(path: Path) -> None:
    study = _open_study(path)
    study.tell(_ask(study), 0.5)
    complete = path.read_bytes()
    study.ask().suggest_float("lr", 0.001, 0.3, log=True)
    again = _open_study(path, asked_count=1)
    assert path.read_bytes() == complete
    assert _ask(again).number == 1


def test_what_a_sampler_noted_during_an_unfinished_ask_goes_with_it(path: Path) -> None:
    study = _open_study(path)
    complete = path.read_bytes()
    trial = study.ask()
    study._storage.set_study_system_attr(study._study_id, "qmc", 0)
    study._storage.set_trial_system_attr(trial._trial_id, "generation", 0)
    _open_study(path, asked_count=0)
    assert path.read_bytes() == complete


def test_trials_that_wait_to_be_asked_stay(path: Path) -> None:
    study = _open_study(path)
    study.enqueue_trial({"lr": 0.1, "bits": 3})
    study.enqueue_trial({"lr": 0.2, "bits": 4})
    complete = path.read_bytes()
    study.ask().suggest_float("lr", 0.001, 0.3, log=True)
    again = _open_study(path, asked_count=0)
    assert path.read_bytes() == complete
    assert [_ask(again).params, _ask(again).params] == [{"lr": 0.1, "bits": 3}, {"lr": 0.2, "bits": 4}]


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_report_that_nothing_followed_from_is_made_again(path: Path, objectives: int) -> None:
    study = _open_study(path, objectives=objectives)
    trial = _ask(study)
    report_step(trial, 1, 0.3)
    complete = path.read_bytes()
    report_step(trial, 2, 0.4)
    _open_study(path, objectives=objectives)
    assert path.read_bytes() == complete


def test_what_a_pruner_wrote_behind_the_last_report_goes_with_it(path: Path) -> None:
    study = _open_study(path)
    study.pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
    trial = _ask(study)
    complete = path.read_bytes()
    trial.report(0.4, 1)
    assert not trial.should_prune()
    assert len(path.read_bytes().splitlines()) == len(complete.splitlines()) + 2
    _open_study(path)
    assert path.read_bytes() == complete


def test_a_report_from_which_an_answer_followed_stays(path: Path) -> None:
    study = _open_study(path)
    trial = _ask(study)
    trial.report(0.4, 1)
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    complete = path.read_bytes()
    _open_study(path)
    assert path.read_bytes() == complete


def test_a_report_before_an_unfinished_ask_was_answered_and_stays(path: Path) -> None:
    study = _open_study(path)
    _ask(study).report(0.4, 1)
    complete = path.read_bytes()
    study.ask()
    _open_study(path, asked_count=1)
    assert path.read_bytes() == complete
