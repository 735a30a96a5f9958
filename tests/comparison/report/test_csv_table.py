"""The CSV can be worked on as it is."""

import csv
from pathlib import Path

from convarium.comparison.comparison_document import compare_results
from convarium.comparison.report.csv_table import format_csv_table


def test_a_row_a_line_with_units_in_the_names_and_intervals_in_columns_of_their_own(report: Path) -> None:
    with (report.parent / "table.csv").open(encoding="utf-8", newline="") as file:
        dense, _, pruned, *others = csv.DictReader(file)
    assert len(others) == 2
    assert (pruned["label"], pruned["methods"], pruned["seeds"]) == ("magnitude 0.9", "pruning/magnitude", "0 1 2")
    assert (pruned["file_bytes"], pruned["latency_ms"]) == ("14000", "1.14")
    low, middle, high = (float(pruned[f"test_accuracy_percent{bound}"]) for bound in ("_low", "", "_high"))
    assert low < middle == 92.25 < high
    assert float(pruned["test_accuracy_delta_pp"]) == -2.5
    assert pruned["test_accuracy_delta_verdict"] == "worse"
    assert dense["test_accuracy_delta_pp"] == ""
    assert len(pruned["signatures"].split()) == 3


def test_every_metric_says_its_unit() -> None:
    units = ("percent", "nats", "bytes", "count", "ms", "per_file_byte", "times")
    columns = [
        column for column in format_csv_table(compare_results([], 0)).strip().split(",") if column.endswith("_low")
    ]
    assert [column for column in columns if not column.removesuffix("_low").endswith((*units, "pp"))] == []


def test_labels_with_commas_and_arrows_stay_whole(result, magnitude, kmeans) -> None:
    results = [result(magnitude(per_site={"a": 0.5, "b": 0.1}), kmeans()), result(magnitude(per_site={}), kmeans())]
    lines = list(csv.DictReader(format_csv_table(compare_results(results, 0)).splitlines()))
    assert lines[0]["label"] == "magnitude 0.9 per_site={a: 0.5, b: 0.1} → kmeans 5"


def test_no_rows_are_a_heading() -> None:
    assert format_csv_table(compare_results([], 0)).startswith("label,status,architecture,dataset,methods,seeds_count,")
