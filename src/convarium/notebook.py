"""What is stored, in a notebook: comparisons and curves as tables of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from convarium.store.store import Store


def results(*overrides: str, where: tuple[str, ...] = ()) -> DataFrame:
    """Return a comparison with a line for each row: the table that `convarium compare … --csv` writes.

    Args:
        overrides: as on the command line, such as "sweep=families"; none: all that is stored.
        where: conditions on means, such as "file_bytes<50000".

    Raises:
        UserError: a kind of ValueError; an override or a condition that is wrong.
    """
    import pandas

    from convarium.cli.compare import compare_command_line
    from convarium.comparison.report.csv_table import format_csv_table

    for text in overrides:
        _check_is_text(text, "an override such as 'seed=0'")
    return pandas.read_csv(StringIO(format_csv_table(compare_command_line(overrides, where))))


def open_stored(signature: str, store: str = "outputs/store") -> StoredResult:
    """Return what is stored at a signature, or at any prefix of one that is unique.

    Raises:
        UserError: nothing, or more than one thing, is stored at it, or it is not done.
    """
    from convarium.config.paths import expand_home
    from convarium.errors import UserError
    from convarium.store.disk import check_store_root
    from convarium.store.store import Store

    _check_is_text(signature, "a signature such as '3fa2'")
    there = Store(check_store_root(expand_home(store)))
    found = there.resolve_signature(signature)
    done, path = there.find_record(found), there.find_folder(found)
    if done is None or path is None:
        raise UserError(f"{found} is not done; `convarium show {found}` says why")
    return StoredResult(done, path, there)


@dataclass(frozen=True)
class StoredResult:
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

        from convarium.stages.declaration import makes_network
        from convarium.store.curves import read_reports

        own = makes_network(self.record["stage"])
        network = self.record["signature"] if own else self.record["parents"][0]
        lines = []
        for stage in [record["signature"] for record in self.store.walk_chain(network)][::-1]:
            folder = self.store.find_folder(stage)
            reports = read_reports(ResultFolder(folder).curves) if folder else []
            lines += [{"signature": stage, **report} for report in reports]
        return pandas.DataFrame(lines)

    def network(self) -> nn.Module:
        """Return its network, plain and in eval mode.

        Raises:
            UserError: the stage made none.
        """
        from convarium.cvm.container import load_cvm

        return load_cvm(ResultFolder(self.path).network)


def _check_is_text(value: object, expected: str) -> None:
    from convarium.errors import UserError

    if not isinstance(value, str):
        raise UserError(f"{value!r} is not text, expected {expected}")
