"""Cuts a journal's end back to the last finished step, so that who goes on makes the unfinished one again.

A search has one writer, so that only its last step can be unfinished: an ask, whose trial lacks parameters, or a
report, whose answer by the pruner was not carried out. Both give the same again: an ask's random state follows from
how many came before it, a pruner's answer from what is reported.
"""

import os
from collections.abc import Collection, Sequence
from enum import IntEnum
from pathlib import Path

from convarium.search.locked_lines import Line, OwnerCheck, lock_lines, read_lines
from convarium.search.reports import REPORT_PREFIX

TRIAL_IS_RUNNING = 0
OUTCOME_ATTRIBUTE = "outcome"  # of a trial, noted before it is told
TRIAL_IS_OVER = (1, 2, 3)  # complete, pruned, failed


class Operation(IntEnum):
    """What a line of Optuna's journal does; those that are read here."""

    SET_STUDY_USER_ATTR = 2
    SET_STUDY_SYSTEM_ATTR = 3
    CREATE_TRIAL = 4
    SET_TRIAL_STATE_VALUES = 6
    SET_TRIAL_INTERMEDIATE_VALUE = 7
    SET_TRIAL_USER_ATTR = 8
    SET_TRIAL_SYSTEM_ATTR = 9


ATTRIBUTES = (
    Operation.SET_STUDY_USER_ATTR,
    Operation.SET_STUDY_SYSTEM_ATTR,
    Operation.SET_TRIAL_USER_ATTR,
    Operation.SET_TRIAL_SYSTEM_ATTR,
)


def cut_unfinished_end(path: Path, asked_count: int, check_owner: OwnerCheck) -> None:
    """Cut off the ask that was not finished, or else the last report if nothing followed from it.

    Args:
        asked_count: how many trials were asked to the end: the next one's ask is unfinished if it has begun.

    Raises:
        UserError: a line before the last is damaged.
    """
    with lock_lines(path, check_owner) as descriptor:
        lines = read_lines(path)
        last_line = find_unfinished_line(lines, asked_count)
        if last_line is not None:
            os.ftruncate(descriptor, lines[last_line].offset)
        else:
            _cut_damaged_line(descriptor, lines)
        os.fsync(descriptor)


def count_trials_of_outcomes(path: Path, outcomes: Collection[str]) -> int:
    """Return how many trials of a journal have come to one of these outcomes.

    Raises:
        UserError: a line before the last is damaged.
    """
    lines = (line.value for line in read_lines(path))
    return len({line["trial_id"] for line in lines if line.get("user_attr", {}).get(OUTCOME_ATTRIBUTE) in outcomes})


def count_told_trials(path: Path) -> int:
    """Return how many trials a journal has told, without replaying it.

    Raises:
        UserError: a line before the last is damaged.
    """
    return sum(
        value.get("op_code") == Operation.SET_TRIAL_STATE_VALUES and value.get("state") in TRIAL_IS_OVER
        for _, value in read_lines(path)
    )


def find_unfinished_line(lines: Sequence[Line], asked_count: int) -> int | None:
    """Return the index of the line with which the unfinished step of a journal begins, None if all are finished."""
    ask = _find_ask(lines, asked_count)
    return _find_open_report(lines) if ask is None else ask


def _cut_damaged_line(descriptor: int, lines: Sequence[Line]) -> None:
    """Cut off what `read_lines` left out: a last line that is no JSON object."""
    size = os.fstat(descriptor).st_size
    start = lines[-1].offset if lines else 0
    line_end = os.pread(descriptor, size - start, start).find(b"\n") + 1 if lines else 0
    if start + line_end < size:
        os.ftruncate(descriptor, start + line_end)


def _find_ask(lines: Sequence[Line], number: int) -> int | None:
    """Return the index of the line by which the ask of a trial begins: it is created, or taken from the queue."""
    next_number = 0
    for index, (_, value) in enumerate(lines):
        operation = value.get("op_code")
        is_running = value.get("state", TRIAL_IS_RUNNING) == TRIAL_IS_RUNNING
        if operation == Operation.CREATE_TRIAL:
            if next_number == number and is_running:
                return index
            next_number += 1
        elif operation == Operation.SET_TRIAL_STATE_VALUES and value.get("trial_id") == number and is_running:
            return index
    return None


def _find_open_report(lines: Sequence[Line]) -> int | None:
    """Return the index of the last report if only attributes follow it, which a pruner wrote or a tell began with."""
    for index in range(len(lines) - 1, -1, -1):
        value = lines[index].value
        operation = value.get("op_code")
        if _is_report(lines[index]):
            trial_id = value["trial_id"]
            followers = [line.value.get("trial_id", trial_id) for line in lines[index + 1 :]]
            return index if set(followers) <= {trial_id} else None
        if operation not in ATTRIBUTES:
            return None
    return None


def _is_report(line: Line) -> bool:
    operation = line.value.get("op_code")
    if operation == Operation.SET_TRIAL_USER_ATTR:
        return any(key.startswith(REPORT_PREFIX) for key in line.value.get("user_attr", {}))
    return bool(operation == Operation.SET_TRIAL_INTERMEDIATE_VALUE)
