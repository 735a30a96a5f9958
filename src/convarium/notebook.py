"""Read the store in a notebook: comparisons and curves as pandas tables."""

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
    """Return a comparison as a table, the one that `convarium compare … --csv` writes.

    Args:
        overrides: as on the command line, such as "sweep=families"; without any, all that is stored.
        where: conditions on means, such as "file_bytes<50000".

    Raises:
        UserError: an override or a condition is wrong. It is a ValueError.
    """
    import pandas

    from convarium.cli.compare import compare_command_line
    from convarium.comparison.report.csv_table import format_csv_table

    for text in overrides:
        _check_is_text(text, "an override such as 'seed=0'")
    comparison = compare_command_line(overrides, where)
    return pandas.read_csv(StringIO(format_csv_table(comparison)))


def open_stored(signature: str, store: str = "outputs/store") -> StoredResult:
    """Return the result that is stored at a signature or a unique prefix of one.

    Raises:
        UserError: no result has such a signature, or several have, or it is not done.
    """
    from convarium.config.paths import expand_home
    from convarium.errors import UserError
    from convarium.store.disk import check_store_root
    from convarium.store.store import Store

    _check_is_text(signature, "a signature such as '3fa2'")
    opened_store = Store(check_store_root(expand_home(store)))
    full_signature = opened_store.resolve_signature(signature)
    record = opened_store.find_record(full_signature)
    folder = opened_store.find_folder(full_signature)
    if record is None or folder is None:
        raise UserError(f"{full_signature} is not done; `convarium show {full_signature}` says why")
    return StoredResult(record, folder, opened_store)


@dataclass(frozen=True)
class StoredResult:
    """The result of a stage.

    Attributes:
        record: the content of `done.json`: config, parents, host, time, and the result.
        path: its folder.
        store: holds it, and the results that it was made from.
    """

    record: dict[str, Any]
    path: Path
    store: Store

    @property
    def metrics(self) -> dict[str, float | None]:
        """The measured figures by metric; empty for a stage that makes a network."""
        return dict(self.record["result"].get("metrics", {}))

    def curves(self) -> DataFrame:
        """Return the reports of a network's training and then of each compression step, a line for each epoch.

        Columns: signature of the stage, phase, epoch (of the phase, from 1), epochs (of the phase), loss (nats), lr,
        validation_accuracy, seconds. The curves of a measurement are those of the measured network.
        """
        import pandas

        from convarium.stages.declaration import makes_network
        from convarium.store.curves import read_reports

        if makes_network(self.record["stage"]):
            network_signature = self.record["signature"]
        else:
            network_signature = self.record["parents"][0]
        signatures = [record["signature"] for record in self.store.walk_chain(network_signature)]
        rows = []
        for signature in reversed(signatures):  # the chain is walked from the network back to its training
            folder = self.store.find_folder(signature)
            reports = read_reports(ResultFolder(folder).curves) if folder else []
            rows += [{"signature": signature, **report} for report in reports]
        return pandas.DataFrame(rows)

    def network(self) -> nn.Module:
        """Return the decoded network as a plain module in eval mode.

        Raises:
            UserError: the stage makes no network.
        """
        from convarium.cvm.container import load_cvm

        return load_cvm(ResultFolder(self.path).network)


def _check_is_text(value: object, expected: str) -> None:
    from convarium.errors import UserError

    if not isinstance(value, str):
        raise UserError(f"{value!r} is not text, expected {expected}")
