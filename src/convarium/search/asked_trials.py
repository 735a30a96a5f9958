"""The trials of a search that were asked, a line of JSON each, in `asked.jsonl`; `gc` keeps the results named there."""

from dataclasses import asdict, dataclass
from pathlib import Path

from convarium.errors import UserError
from convarium.search.locked_lines import OwnerCheck, append_lines, read_lines

ASKED_FILE = "asked.jsonl"


@dataclass(frozen=True)
class AskedTrial:
    """What was asked of the workers for a trial.

    Attributes:
        number: Optuna's, from 0.
        overrides: the point, without its seed.
        signatures: those of its networks, one for each seed; none where the point was refused.
    """

    number: int
    overrides: tuple[str, ...]
    signatures: tuple[str, ...]


def append_asked_trial(path: Path, trial: AskedTrial, check_owner: OwnerCheck) -> None:
    """Append a trial to the file, which is created where it is missing."""
    append_lines(path, [asdict(trial)], check_owner)


def read_asked_trials(path: Path) -> list[AskedTrial]:
    """Return the trials of the file in the order of their numbers, [] if there is no such file.

    Raises:
        UserError: the file is damaged before its last line.
    """
    trials = []
    for number, line in enumerate(read_lines(path)):
        try:
            trial = AskedTrial(line.value["number"], tuple(line.value["overrides"]), tuple(line.value["signatures"]))
        except (KeyError, TypeError):
            raise UserError(f"{path} is damaged: its line {number + 1} is no asked trial") from None
        if trial.number != number:
            raise UserError(f"{path} is damaged: trial {number} is not in its line {number + 1}")
        trials.append(trial)
    return trials
