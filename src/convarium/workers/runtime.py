"""What a stage is given besides what it hashes: where to write, how to run, whom to tell."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from convarium.store.result_folder import ResultFolder


@dataclass(frozen=True)
class Parent:
    """A finished stage: its folder holds the files it made, `record` is its record."""

    signature: str
    folder: Path
    record: dict[str, Any]

    @property
    def files(self) -> ResultFolder:
        """The files in its folder."""
        return ResultFolder(self.folder)


@dataclass(frozen=True)
class Runtime:
    """How and where a stage runs; no result may depend on it.

    Attributes:
        folder: write result files here under their final names; they are published together when the stage returns.
        checkpoint_folder: survives a kill, shared between successive owners; write in one step (draft, then
            os.replace).
        report: `report(phase="train", epoch=1, loss=0.3, ...)` appends a line to the curves and feeds the progress.
            A line with the same words and whole numbers as an earlier one replaces it (an epoch done twice).
        check_lease: raises LeaseLost when another worker owns the stage by now; call it before each checkpoint.
        cache_folder: a folder beside the store for what can be made again at any time, such as decoded images.
        run_fresh: `run_fresh("module:function", *json)` runs a function in a process that never saw this one's objects.
    """

    folder: Path
    checkpoint_folder: Path
    threads: int
    accelerator: str
    data_root: str | None
    report: Callable[..., None]
    check_lease: Callable[[], None]
    run_fresh: Callable[..., Any]
    cache_folder: Path | None = None

    @property
    def files(self) -> ResultFolder:
        """The files to write."""
        return ResultFolder(self.folder)

    def name_phase(self, phase: str) -> "Runtime":
        """Return the same, but for `phase=…` in every line that is reported."""
        return replace(self, report=partial(self.report, phase=phase))
