"""What is stored, in a notebook: comparisons and curves as tables of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from convarium.store.store import Store

NETWORKS = ("train", "adopt", "compress")  # the stages that make one


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

    for text in overrides:
        _refuse_no_text(text, "an override such as 'seed=0'")
    return pandas.read_csv(StringIO(table(compared(overrides, where))))


def open_stored(signature: str, store: str = "outputs/store") -> Stored:
    """Return what is stored at a signature, or at any prefix of one that is unique.

    Raises:
        UserError: nothing, or more than one thing, is stored at it, or it is not done.
    """
    from convarium.config.paths import expanded
    from convarium.errors import UserError
    from convarium.store.disk import named
    from convarium.store.store import Store

    _refuse_no_text(signature, "a signature such as '3fa2'")
    there = Store(named(expanded(store)))
    found = there.resolve(signature)
    done, path = there.done(found), there.path(found)
    if done is None or path is None:
        raise UserError(f"{found} is not done; `convarium show {found}` says why")
    return Stored(done, path, there)


@dataclass(frozen=True)
class Stored:
    """The result of a stage.

    Attributes:
        record: what it was made from, where, how fast, and what came out.
        path: its folder.
        store: in which it lies, with what it was made from.
    """

    record: dict[str, Any]
    path: Path
    store: Store

    @property
    def metrics(self) -> dict[str, float | None]:
        """The figures that were measured; empty for a stage that makes a network."""
        return dict(self.record["result"].get("metrics", {}))

    def curves(self) -> DataFrame:
        """Return the reports of a network's training and of each step after it, in this order, a line for each epoch.

        Columns: signature of the stage, phase, epoch of the phase (from 1), epochs (of it), loss (nats), lr,
        validation_accuracy, seconds. Of a measurement they are those of the network that was measured.
        """
        import pandas

        from convarium.comparison.collect import made_by
        from convarium.store.curves import read

        own = self.record["stage"] in NETWORKS
        network = self.record["signature"] if own else self.record["parents"][0]
        lines = []
        for stage in [record["signature"] for record in made_by(network, self.store)][::-1]:
            folder = self.store.path(stage)
            lines += [{"signature": stage, **report} for report in read(folder / "curves.jsonl")] if folder else []
        return pandas.DataFrame(lines)

    def network(self) -> nn.Module:
        """Return its network, plain and in eval mode.

        Raises:
            UserError: the stage made none.
        """
        from convarium.compression.file.container import load

        return load(self.path / "network.cvm")


def _refuse_no_text(value: object, expected: str) -> None:
    from convarium.errors import UserError

    if not isinstance(value, str):
        raise UserError(f"{value!r} is not text, expected {expected}")
