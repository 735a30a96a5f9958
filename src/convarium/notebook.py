"""What is stored, in a notebook: comparisons and curves as tables of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn


def results(*overrides: str, where: tuple[str, ...] = ()) -> DataFrame:
    """Return a comparison with a line for each row: the table that `convarium compare … --csv` writes.

    Args:
        overrides: as on the command line, such as "sweep=families"; none: all that is stored.
        where: conditions on means, such as "file_bytes<50000".

    Raises:
        UserError: a kind of ValueError; an override or a condition that is wrong.
    """
    import pandas

    from convarium.cli.compare import compared
    from convarium.comparison.report.table import table

    return pandas.read_csv(StringIO(table(compared(overrides, where))))


def open_stored(signature: str, store: str = "outputs/store") -> Stored:
    """Return what is stored at a signature, or at any prefix of one that is unique.

    Raises:
        UserError: nothing, or more than one thing, is stored at it, or it is not done.
    """
    from convarium.errors import UserError
    from convarium.store.store import Store

    there = Store(Path(store))
    found = there.resolve(signature)
    done, path = there.done(found), there.path(found)
    if done is None or path is None:
        raise UserError(f"{found} is not done; `convarium show {found}` says why")
    return Stored(done, path)


@dataclass(frozen=True)
class Stored:
    """The result of a stage.

    Attributes:
        record: what it was made from, where, how fast, and what came out.
        path: its folder.
    """

    record: dict[str, Any]
    path: Path

    @property
    def metrics(self) -> dict[str, float | None]:
        """The figures that were measured; empty for a stage that makes a network."""
        return dict(self.record["result"].get("metrics", {}))

    def curves(self) -> DataFrame:
        """Return its reports, a line for each epoch of each phase: loss (nats), lr, validation_accuracy, seconds."""
        import pandas

        from convarium.store.curves import read

        return pandas.DataFrame(read(self.path / "curves.jsonl"))

    def network(self) -> nn.Module:
        """Return its network, plain and in eval mode.

        Raises:
            UserError: the stage made none.
        """
        from convarium.compression.file.container import load

        return load(self.path / "network.cvm")
