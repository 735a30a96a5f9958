"""The journal of a search: Optuna's, as lines of JSON, under a lock of ours.

Optuna's own lock is a file that a killed holder leaves behind, for which the next one waits 30 seconds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from convarium.errors import UserError
from convarium.search.journal_end import cut_unfinished_end
from convarium.search.locked_lines import OwnerCheck, append_lines

JOURNAL_FILE = "journal.log"


def open_study(storage: JournalStorage, name: str, directions: Sequence[StudyDirection]) -> optuna.Study:
    """Return the study of a journal, created where it is missing; its sampler and pruner are the caller's to set.

    Args:
        directions: one for each objective.
    """
    # With load_if_exists Optuna creates it anyway: each opening would leave a line in the journal.
    if name in [study.study_name for study in storage.get_all_studies()]:
        return optuna.load_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, directions=directions)


def open_journal(path: Path, asked_count: int, check_owner: OwnerCheck) -> JournalStorage:
    """Return the storage of a search, its journal cut back to what was finished.

    Args:
        path: the file, which is created where it is missing.
        asked_count: how many trials were asked to the end, by `asked.jsonl`.
        check_owner: called before each write; raises if this process does not own the search any more.

    Raises:
        UserError: the journal is damaged before its last line, or is not of the installed Optuna's format.
    """
    cut_unfinished_end(path, asked_count, check_owner)
    journal = _Journal(path, check_owner)
    try:
        return JournalStorage(journal)
    except Exception as error:  # a replay fails by whatever it meets: KeyError, AssertionError, TypeError
        raise UserError(
            f"{path} is not of the format of Optuna {optuna.__version__}: its line {journal.line_number} can't be"
            f" replayed ({type(error).__name__})"
        ) from error


class _Journal(JournalFileBackend):
    """Optuna's journal with a lock of ours.

    Attributes:
        line_number: that of the line that was read last, from 1.
    """

    def __init__(self, path: Path, check_owner: OwnerCheck) -> None:
        super().__init__(str(path))
        self.line_number = 0
        self._path = path
        self._check_owner = check_owner

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        for self.line_number, log in enumerate(super().read_logs(log_number_from), start=log_number_from + 1):
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        append_lines(self._path, logs, self._check_owner)
