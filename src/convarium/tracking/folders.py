"""Where the files of runs lie: beside a SQLite database, else beside the store; elsewhere where somebody chose so."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from convarium.tracking.address import kind
from convarium.tracking.reach import database
from convarium.tracking.sqlite import file_of

NAME = "mlartifacts"
LONGEST = 100
RUNS = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
EXPERIMENT = "UPDATE experiments SET artifact_location = ? WHERE name = ?"


def root(uri: str, store: Path) -> Path:
    """Return the folder of all experiments, which moves with the database where that is a file, else with the store."""
    return (file_of(uri) if kind(uri) == "sqlite" else store).resolve().parent / NAME


def address(folder: Path, experiment: str) -> str:
    """Return the address of an experiment's folder in `folder`."""
    return (folder / _plain(experiment)).as_uri()


def path(address: str) -> Path | None:
    """Return the folder of an address, None if it is on no disk of this host."""
    parts = urlsplit(address)
    if not parts.scheme:
        return Path(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def follows(known: str | None, experiment: str) -> bool:
    """Whether an experiment's address is new, or one that was given here, wherever its folder was at that time."""
    found = Path() if known is None else path(known)
    return known is None or (found is not None and found.parts[-2:] == (NAME, _plain(experiment)))


def move(uri: str, experiment: str, home: str, runs: Mapping[str, str]) -> None:
    """Write into a database where an experiment's files lie, and those of `runs` by their ids."""
    opened = database(uri)
    opened.write(EXPERIMENT, [(home, experiment)])
    opened.write(RUNS, [(place, run) for run, place in runs.items()])


def _plain(experiment: str) -> str:
    """Return a folder's name for an experiment: its own where that is a name within a folder."""
    is_name = Path(experiment).name == experiment != ".." and experiment.isprintable()
    if is_name and len(experiment.encode()) <= LONGEST:
        return experiment
    digest = sha256(experiment.encode()).hexdigest()[:8]
    return "-".join([*re.findall("[A-Za-z0-9]+", experiment[:LONGEST]), digest])
