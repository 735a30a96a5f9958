"""Every reason not to compare two rows is a code at the row that differs."""

from dataclasses import replace

import pytest

from convarium.comparison.audit import CODE_EXPLANATIONS, select_explanations
from convarium.comparison.comparison_document import compare_results
from convarium.comparison.result import Provenance


def codes(results, **options):
    return [row["audit"] for row in compare_results(results, 0, **options)["rows"]]


def budget(value, quantity="bytes"):
    return {"quantity": quantity, "value": value, "knob": "sparsity", "candidates": [0.0, 1.0]}


def seeds(make, *steps, **options):
    return [make(*steps, seed=seed, **options) for seed in range(3)]


def test_a_fair_comparison_has_no_code(result, magnitude):
    results = seeds(result)
    for sparsity in (0.8, 0.9):
        results += seeds(result, magnitude(sparsity), size=20_000)
    assert codes(results) == [[], [], []]


def test_each_code_has_a_line_and_only_those_that_occur_are_explained(result, magnitude):
    document = compare_results([result(magnitude())], 0)
    assert list(document["audit"]) == ["few_seeds", "no_dense", "one_operating_point"]
    assert select_explanations(document["rows"]) == document["audit"]
    assert all("\n" not in text for text in CODE_EXPLANATIONS.values())


@pytest.mark.parametrize("key", ["train_size", "fingerprint"])
def test_other_data(result, key):
    data = {"name": "mnist5k", "root": None, "train_size": None}
    assert codes([*seeds(result), *seeds(result, config={"dataset": data | {key: 100}})]) == [[], ["other_data"]]
    elsewhere = seeds(result, config={"dataset": data | {"root": "elsewhere"}})
    assert codes([*seeds(result)[:1], *elsewhere[1:]]) == [[]]


def test_a_dense_network_of_another_recipe_than_the_table_s_first(result, magnitude):
    short = {"recipe": {"epochs": 1, "lr": 0.1}}
    results = [*seeds(result), *seeds(result, config=short), *seeds(result, magnitude(), config=short)]
    assert codes(results) == [[], ["other_baseline"], ["other_baseline", "one_operating_point"]]


def test_a_dense_network_of_another_seed(result, magnitude):
    dense = [result(seed=seed) for seed in range(3)]
    results = [result(magnitude(), seed=seed, dense=dense[0].signature) for seed in range(3)]
    assert codes([*dense, *results])[1] == ["other_baseline", "one_operating_point"]


def test_adopted_weights_serve_any_seed_and_are_an_origin_of_their_own(result, magnitude):
    weights = {"architecture": {"source": "own", "name": "lenet5", "weights": "0" * 12}}
    adopted = result(config=weights)
    compressed = [result(magnitude(phases=[]), seed=seed, config=weights, dense=adopted.signature) for seed in range(3)]
    assert codes(compressed, dense_results=[adopted]) == [["one_operating_point"]]
    assert "other_baseline" in codes([*seeds(result), *compressed], dense_results=[adopted])[1]


def test_a_step_that_starts_from_scratch_counts_alone(result):
    kd = {"method": "transfer/kd", "version": 1, "phases": [{"decider": "small_dense", "epochs": 8}]}
    cut = {"method": "pruning/filter_l1", "version": 1, "phases": [{"decider": "filter_l1", "epochs": 8}]}
    found = codes([*seeds(result), *seeds(result, kd), *seeds(result, cut)])
    assert ["other_steps" in row for row in found] == [False, False, True]


def test_other_steps_counts_training_and_retraining(result, magnitude):
    phases = [{"epochs": "epochs", "repeat": 2}, {"epochs": 1}]
    recipe = {"recipe": {"epochs": 200, "lr": 0.1, "batch_size": 50}}
    data = {"dataset": {"name": "mnist5k", "images": {"train": 1001}, "train_size": None}}
    made = {epochs: seeds(result, magnitude(phases=phases, epochs=epochs), config=recipe | data) for epochs in (0, 1)}
    document = compare_results([*seeds(result, config=recipe | data), *made[0], *made[1]], 0)
    assert [row["training_steps"] for row in document["rows"]] == [200 * 20, 201 * 20, 203 * 20]
    assert ["other_steps" in row["audit"] for row in document["rows"]] == [False, False, True]


def test_where_images_are_not_counted_epochs_tell(result, magnitude):
    document = compare_results([*seeds(result), *seeds(result, magnitude(phases=[{"epochs": 2}]))], 0)
    assert [row["training_steps"] for row in document["rows"]] == [None, None]
    assert "other_steps" in document["rows"][1]["audit"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"quality_protocol": "other"}, "other_protocol"),
        ({"latency_protocol": "other"}, "other_protocol"),
        ({"latency_host": "other"}, "other_host"),
        ({"versions": ("torch 1",)}, "other_versions"),
    ],
)
def test_a_row_made_in_another_way_than_the_first(result, kmeans, facts, code):
    usual = Provenance(versions=("torch 2",), quality_protocol="x", latency_protocol="x", latency_host="x")
    other = replace(usual, **facts)
    results = [*seeds(result, facts=usual), *seeds(result, kmeans(3), facts=other)]
    mixed = [result(kmeans(4), seed=seed, facts=other if seed else usual) for seed in range(3)]
    assert [code in found for found in codes([*results, *mixed])] == [False, True, True]
    assert not any(code in found for found in codes([one for one in results if one.provenance == usual]))


def test_latency_that_was_not_taken_is_no_other_host(result, magnitude):
    results = [*seeds(result, facts=Provenance(latency_host="x")), *seeds(result, magnitude())]
    assert not any("other_host" in found for found in codes(results))


def test_two_datasets_have_splits_of_their_own(result):
    other = {"dataset": {"name": "digits", "root": None}}
    results = [
        *seeds(result, facts=Provenance(quality_protocol="x")),
        *seeds(result, config=other, facts=Provenance(quality_protocol="y")),
    ]
    assert codes(results) == [[], ["other_data"]]


def test_a_file_larger_than_its_budget(result, magnitude):
    for order, over in ((budget(9_999), True), (budget(10_000), False), (budget(0.5, "macs"), False)):
        (found,) = codes([result(magnitude(budget=order), size=10_000)])
        assert ("over_budget" in found) == over


def test_one_operating_point_is_no_curve_and_a_coder_has_none(result, magnitude, kmeans):
    huffman = {"method": "coding/huffman", "version": 1, "phases": []}
    steps = [magnitude(0.8), magnitude(0.9), kmeans(5), huffman]
    found = codes([*seeds(result), *(one for step in steps for one in seeds(result, step))])
    assert ["one_operating_point" in row for row in found] == [False, False, False, True, False]


def test_budgets_are_operating_points(result, magnitude):
    results = [result(magnitude(budget=budget(size))) for size in (8_000, 32_000)]
    assert not any("one_operating_point" in found for found in codes(results))


def test_latency_that_a_busy_machine_made_void(result):
    assert "void_latency" in codes([result(void=True)])[0]
