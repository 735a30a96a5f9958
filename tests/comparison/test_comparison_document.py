"""Rows hold what has all but the seed in common; each is compared with its own dense network, seed by seed."""

import json

import pytest

from convarium.comparison.comparison_document import compare_results
from convarium.comparison.metric_names import IMAGE_METRICS, METRICS
from convarium.comparison.result import RefusedPoint


def test_seeds_of_one_config_are_one_row_and_the_document_is_json(result, magnitude):
    results = [result(seed=seed) for seed in (2, 0, 1)]
    results += [result(magnitude(), seed=seed, size=25_000) for seed in (0, 1, 2)]
    document = json.loads(json.dumps(compare_results(results, 4), allow_nan=False))
    dense, pruned = document["rows"]
    assert (document["reference"], document["missing"]) == ("none", 4)
    assert (dense["label"], pruned["label"]) == ("dense", "magnitude 0.9")
    assert dense["architecture"] == "basic/lenet5"
    assert dense["seeds"] == [0, 1, 2]
    assert dense["signatures"] == [results[place].signature for place in (1, 2, 0)]
    assert list(pruned["metrics"]) == list(METRICS)
    assert pruned["metrics"]["file_bytes"]["mean"] == 25_000
    assert pruned["metrics"]["latency_ms"] == {"mean": None, "low": None, "high": None}
    assert pruned["compression"] == [{"method": "pruning/magnitude", "version": 1, "sparsity": 0.9, "epochs": 2}]


def test_where_the_data_lie_and_how_a_run_ran_do_not_part_rows(result):
    elsewhere = {"dataset": {"name": "mnist5k", "root": "/data", "train_size": None}}
    assert len(compare_results([result(seed=0), result(seed=1, config=elsewhere)], 0)["rows"]) == 1
    other = {"dataset": {"name": "mnist5k", "root": None, "train_size": 100}}
    assert len(compare_results([result(seed=0), result(seed=1, config=other)], 0)["rows"]) == 2


def test_differences_are_paired_by_seed_and_told_as_better_or_worse(result, magnitude):
    results = [result(seed=seed, wrong=20 + seed) for seed in range(3)]
    results += [result(magnitude(), seed=seed, wrong=80 + seed, size=25_000) for seed in range(3)]
    dense, pruned = compare_results(results, 0)["rows"]
    assert dense["versus_dense"] == {}
    accuracy = pruned["versus_dense"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(-0.15)
    assert accuracy["low"] < -0.15 < accuracy["high"] < 0
    assert (accuracy["verdict"], accuracy["seeds"]) == ("worse", 3)
    assert pruned["versus_dense"]["file_bytes"]["difference"] == -75_000
    assert pruned["versus_dense"]["file_bytes"]["verdict"] == "better"
    assert "xz_bytes" not in pruned["versus_dense"]


def test_a_small_difference_is_not_shown_and_says_with_how_many_seeds(result, magnitude):
    results = [result(seed=seed) for seed in range(3)] + [result(magnitude(), seed=seed, wrong=21) for seed in range(3)]
    assert compare_results(results, 0)["rows"][1]["versus_dense"]["accuracy"]["verdict"] == "not shown with 3 seeds"


def test_one_seed_never_shows_anything(result, magnitude):
    row = compare_results([result(), result(magnitude(), wrong=300)], 0)["rows"][1]
    assert row["versus_dense"]["accuracy"]["verdict"] == "no test with 1 seed"
    assert row["versus_dense"]["accuracy"]["high"] < 0
    assert row["versus_dense"]["file_bytes"]["low"] is None
    assert row["metrics"]["loss"] == {"mean": 0.1, "low": None, "high": None}
    assert row["versus_dense"]["accuracy"]["p_noninferior"] is None
    assert row["versus_dense"]["accuracy"]["equivalent"] is False
    assert "few_seeds" in row["audit"]


def test_the_reference_is_the_dense_network_it_was_measured_against(result, magnitude):
    other = {"recipe": {"epochs": 1, "lr": 0.1}}
    row = compare_results([result(config=other), result(magnitude())], 0)["rows"][1]
    assert row["versus_dense"] == {}
    assert "no_dense" in row["audit"]


def test_a_reference_that_nobody_asked_for_gets_no_row(result, magnitude):
    dense = [result(seed=seed) for seed in range(3)]
    pruned = [result(magnitude(), seed=seed, wrong=80) for seed in range(3)]
    (row,) = compare_results(pruned, 0, dense_results=dense)["rows"]
    assert row["versus_dense"] == compare_results([*dense, *pruned], 0)["rows"][1]["versus_dense"]
    assert row["dense"] == [one.signature for one in dense]
    assert "no_dense" not in row["audit"]


def test_a_small_dense_control_is_compared_with_the_large_network(result):
    large = [result(seed=seed) for seed in range(3)]
    small = {"architecture": {"source": "own", "name": "mlp"}}
    control = [result(seed=seed, wrong=80, config=small, dense=large[seed].signature) for seed in range(3)]
    row = compare_results([*large, *control], 0)["rows"][1]
    assert row["versus_dense"]["accuracy"]["difference"] == pytest.approx(-0.15)
    assert row["audit"] == ["other_baseline"]


def test_what_can_t_be_made_is_a_row_without_figures(result, magnitude):
    results = [result(), result(magnitude(0.9))]
    refused = [
        RefusedPoint(result(magnitude(0.99), seed=seed).config, (), seed, "not reachable (least 9,120 bytes)")
        for seed in (0, 1)
    ]
    rows = json.loads(json.dumps(compare_results(results, 0, refused=refused)))["rows"]
    assert [row["label"] for row in rows] == ["dense", "magnitude 0.99", "magnitude 0.9"]
    assert [row["status"] for row in rows] == [None, "not reachable (least 9,120 bytes)", None]
    assert (rows[1]["seeds"], rows[1]["signatures"], rows[1]["audit"], rows[1]["pareto"]) == ([0, 1], [], [], [])
    assert {value for metric in rows[1]["metrics"].values() for value in metric.values()} == {None}
    without = compare_results(results, 0)["rows"]
    assert [row["versus_dense"] for row in (rows[0], rows[2])] == [row["versus_dense"] for row in without]


def test_a_seed_that_can_t_be_made_is_told_beside_the_figures_of_the_others(result, magnitude):
    refused = RefusedPoint(result(magnitude(), seed=1).config, (), 1, "not installed")
    (row,) = compare_results([result(magnitude())], 0, refused=[refused])["rows"]
    assert (row["status"], row["seeds"]) == ("seed 1: not installed", [0])
    assert row["metrics"]["file_bytes"]["mean"] == 100_000


def test_no_worse_than_the_margin_is_a_verdict_of_its_own(result, magnitude, kmeans):
    results = [result(seed=seed) for seed in range(3)]
    results += [result(magnitude(), seed=seed, wrong=20) for seed in range(3)]
    results += [result(kmeans(), seed=seed, wrong=36) for seed in range(3)]
    _, same, lost = (row["versus_dense"].get("accuracy") for row in compare_results(results, 0, margin=0.04)["rows"])
    assert (same["verdict"], same["equivalent"], same["margin"]) == ("no worse than 4 pp", True, 0.04)
    assert same["loss_upper"] < 0.01
    assert (lost["verdict"], lost["equivalent"]) == ("worse", False)
    assert 0.04 < lost["loss_upper"] < 0.08
    strict = compare_results(results, 0, margin=0.002)["rows"][1]["versus_dense"]["accuracy"]
    assert (strict["verdict"], strict["loss_upper"]) == ("not shown with 3 seeds", same["loss_upper"])


def test_seeds_without_a_dense_network_are_told(result, magnitude):
    results = [result(seed=0), result(seed=1), *(result(magnitude(), seed=seed, wrong=40) for seed in range(3))]
    row = compare_results(results, 0)["rows"][1]
    assert row["versus_dense"]["accuracy"]["seeds"] == 2
    assert "unpaired_seeds" in row["audit"]


def test_p_values_are_adjusted_for_the_number_of_rows(result, magnitude):
    dense = [result(seed=seed) for seed in range(3)]
    rows = [[result(magnitude(s), seed=seed, wrong=26) for seed in range(3)] for s in (0.1, 0.2, 0.3, 0.4)]
    alone = compare_results([*dense, *rows[0]], 0)["rows"][1]["versus_dense"]["accuracy"]
    among = compare_results([*dense, *(one for row in rows for one in row)], 0)["rows"][1]["versus_dense"]["accuracy"]
    assert among["p"] == pytest.approx(4 * alone["p"])
    assert (alone["verdict"], among["verdict"]) == ("worse", "not shown among 4 rows")
    assert among["low"] == alone["low"]


def test_differs_holds_the_keys_whose_values_are_not_the_same(result, magnitude, kmeans):
    rows = compare_results([result(magnitude(0.8)), result(magnitude(0.9)), result(magnitude(0.9), kmeans())], 0)[
        "rows"
    ]
    assert rows[0]["differs"] == {"compression": ["pruning/magnitude"], "compression.magnitude.sparsity": 0.8}
    assert rows[2]["differs"]["compression"] == ["pruning/magnitude", "quantization/kmeans"]
    assert compare_results([result(magnitude(0.8)), result(magnitude(0.9))], 0)["rows"][0]["differs"] == {
        "compression.magnitude.sparsity": 0.8
    }


def test_pareto_marks_go_by_validation_never_by_test(result, magnitude):
    better_on_test = {"accuracy": 0.99, "validation_accuracy": 0.90}
    results = [result(size=100_000), result(magnitude(0.5), size=100_000, metrics=better_on_test)]
    results.append(result(magnitude(0.9), size=10_000, wrong=40))
    marks = [row["pareto"] for row in compare_results(results, 0)["rows"]]
    assert marks == [["file_bytes/accuracy", "macs/accuracy"], [], ["file_bytes/accuracy"]]


def test_fronts_of_two_datasets_do_not_mix(result):
    other = {"dataset": {"name": "digits", "root": None}}
    rows = compare_results([result(), result(config=other, size=5, wrong=0)], 0)["rows"]
    assert all("file_bytes/accuracy" in row["pareto"] for row in rows)


def test_nothing_stored_gives_no_rows():
    assert compare_results([], 3) == {"reference": "none", "missing": 3, "margin": 0.002, "audit": {}, "rows": []}


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("margin", [0.002, 0.01, 0.04])
def test_no_verdict_contradicts_the_interval_beside_it(result, magnitude, seeds, rows, margin):
    found = [result(seed=seed) for seed in range(seeds)]
    for wrong in range(rows):
        steps = magnitude(0.1 + wrong / 10)
        found += [result(steps, seed=seed, wrong=18 + 3 * wrong + 2 * seed % 3) for seed in range(seeds)]
    for row in compare_results(found, 0, margin=margin)["rows"][1:]:
        for metric, entry in row["versus_dense"].items():
            low, high, verdict = entry["low"], entry["high"], entry["verdict"]
            zero_out = low is not None and not low <= 0 <= high
            assert (verdict == "no test with 1 seed") == (seeds == 1)
            if verdict in ("better", "worse"):
                assert zero_out
            if verdict == f"not shown with {seeds} seeds":
                assert not zero_out
            if verdict.startswith("not shown among"):
                assert zero_out
                assert verdict == f"not shown among {rows} rows"
            if entry.get("equivalent"):
                assert low > -margin
            assert metric not in IMAGE_METRICS or low is None or low < high


def test_seeds_that_agree_on_a_figure_of_images_leave_its_interval_open(result, magnitude):
    found = [result(seed=seed, wrong=40) for seed in range(3)]
    found += [result(magnitude(), seed=seed, wrong=20) for seed in range(3)]
    _, row = compare_results(found, 0)["rows"]
    for metric in ("validation_accuracy", "loss"):
        assert row["metrics"][metric]["low"] is None
        entry = row["versus_dense"][metric]
        assert (entry["low"], entry["p"], entry["verdict"]) == (None, None, "not shown with 3 seeds")
    accuracy = row["versus_dense"]["accuracy"]
    assert (accuracy["paired_t_low"], accuracy["paired_t_p"]) == (None, None)
    assert row["metrics"]["macs"] == {"mean": 5000, "low": 5000, "high": 5000}


def test_all_right_is_said_with_an_interval(result, magnitude):
    found = [result(seed=seed, wrong=0) for seed in range(3)]
    found += [result(magnitude(), seed=seed, wrong=0) for seed in range(3)]
    _, row = compare_results(found, 0)["rows"]
    accuracy, entry = row["metrics"]["accuracy"], row["versus_dense"]["accuracy"]
    assert (accuracy["low"], accuracy["high"]) == (pytest.approx(0.9905, abs=1e-4), 1)
    assert -entry["low"] == entry["high"] > entry["loss_upper"] > 0
