"""What a stage gets besides its config: the results that it starts from, and where and how it runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from convarium.tasks.ranks import Ranks


@dataclass(frozen=True)
class Parent:
    """The result of a stage that another one starts from.

    Attributes:
        folder: the result folder.
        record: the content of its `done.json`.
    """

    signature: str
    folder: Path
    record: dict[str, Any]

    @property
    def files(self) -> ResultFolder:
        """The files in the result folder."""
        return ResultFolder(self.folder)


@dataclass(frozen=True)
class Runtime:
    """Where and how a stage runs; no result may depend on it.

    Attributes:
        folder: for result files, under their final names; they are published together when the stage returns.
        checkpoint_folder: survives a kill and is shared by successive owners of the lease; write a file there in one
            step (a draft, then os.replace).
        threads: how many threads the stage may use.
        accelerator: the config's `runtime.accelerator`: auto, cpu, gpu or mps.
        data_root: the `root` of the dataset's config, which is never hashed.
        report: `report(phase="train", epoch=1, loss=0.3, ...)` appends a line to the curves and feeds the progress
            display. A line with the same words and whole numbers as an earlier one replaces it (an epoch done twice).
        check_lease: raises LeaseLost when another worker owns the stage by now; call it before each checkpoint.
        check_stopped: raises WorkerStopped when the run is stopped, StageUnwanted when no plan asks for the stage now.
        is_told_to_leave: whether `check_stopped` would raise; it may read the disk, so ask about once a second.
        note_checkpoint: call it after each checkpoint. It forgets how often the stage's workers were killed before, and
            raises what `check_stopped` does, so that what is done is kept.
        run_fresh: `run_fresh("module:function", *json)` runs a function in a process that never saw this one's objects.
        hold_host_alone: `with hold_host_alone():` runs what takes times; no other stage of this host runs meanwhile.
        checkpoint_minutes: a checkpoint is due in mid-epoch when the last one is so old; None or 0: at epoch ends only.
        ranks: the processes that share the stage's fits; None: this one alone.
        cache_folder: next to the store, for files that can be made again at any time, such as decoded images.
    """

    folder: Path
    checkpoint_folder: Path
    threads: int
    accelerator: str
    data_root: str | None
    report: Callable[..., None]
    check_lease: Callable[[], None]
    run_fresh: Callable[..., Any]
    check_stopped: Callable[[], None] = lambda: None
    is_told_to_leave: Callable[[], bool] = lambda: False
    note_checkpoint: Callable[[], None] = lambda: None
    hold_host_alone: Callable[[], AbstractContextManager[None]] = nullcontext
    checkpoint_minutes: float | None = None
    ranks: "Ranks | None" = None
    cache_folder: Path | None = None

    @property
    def files(self) -> ResultFolder:
        """The result files to write."""
        return ResultFolder(self.folder)

    def name_phase(self, phase: str) -> "Runtime":
        """Return the same runtime, with `phase=…` in every line that it reports."""
        return replace(self, report=partial(self.report, phase=phase))
