"""The folder of a run in a store: its name, and the file without which the run counts as over."""

import re
import shutil
from pathlib import Path

RUN_FILE = "run.json"
RUN_FOLDER_PATTERN = re.compile("[0-9a-f]{16}")


def is_run_folder(folder: Path) -> bool:
    """Whether a folder has the place and the name of a run's folder."""
    return folder.parent.name == "runs" and RUN_FOLDER_PATTERN.fullmatch(folder.name) is not None


def remove_run_folder(folder: Path) -> None:
    """Remove a run's folder; its plan in the store, if it has one there, and the results stay."""
    (folder / RUN_FILE).unlink(missing_ok=True)  # first: without it the run counts as over, even if the folder stays
    shutil.rmtree(folder, ignore_errors=True)
