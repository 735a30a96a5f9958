"""Every row has a name of its own, as short as it can be."""

import pytest

from convarium.comparison.labels import (
    format_distinct_labels,
    format_labels_by_table,
    get_architecture_option,
    select_differing_values,
)


def config(*steps, name="lenet5", source="own", epochs=8):
    architecture, dataset = {"source": source, "name": name}, {"name": "mnist5k"}
    return {
        "architecture": architecture, "dataset": dataset, "recipe": {"epochs": epochs}, "compression": list(steps),
    }  # fmt: skip


def test_a_chain_is_told_by_its_methods_and_its_sparsity(magnitude, kmeans):
    huffman = {"method": "coding/huffman", "version": 1, "phases": []}
    assert format_distinct_labels([config(), config(magnitude(), kmeans(), huffman)]) == [
        "dense",
        "magnitude 0.9 → kmeans 5 → huffman",
    ]


def test_equal_labels_get_the_knobs_in_which_they_differ(magnitude, kmeans):
    assert format_distinct_labels([config(kmeans(5)), config(kmeans(3)), config(magnitude())]) == [
        "kmeans 5",
        "kmeans 3",
        "magnitude 0.9",
    ]
    maps = [config(magnitude(per_site=sites)) for sites in ({}, {"conv*": 0.5})]
    assert format_distinct_labels(maps) == ["magnitude 0.9 per_site={}", "magnitude 0.9 per_site={conv*: 0.5}"]


def test_equal_chains_of_other_networks_and_recipes_get_these():
    assert format_distinct_labels([config(), config(name="resnet20"), config(epochs=1)]) == [
        "dense [lenet5, recipe.epochs=8]",
        "dense [resnet20, recipe.epochs=8]",
        "dense [lenet5, recipe.epochs=1]",
    ]


def test_an_ingredient_that_only_some_recipes_have_differs_from_its_default():
    mixed = {**config(), "recipe": {"epochs": 8, "mixup": 0.2}}
    assert format_distinct_labels([config(), mixed]) == ["dense", "dense [recipe.mixup=0.2]"]
    assert select_differing_values([config(), config()]) == [{}, {}]


def test_a_knob_that_only_some_have_does_not_differ_by_being_absent(magnitude, kmeans):
    first, second = select_differing_values([config(magnitude(), kmeans()), config(magnitude())])
    assert list(first) == list(second) == ["compression"]


def test_a_budget_stands_in_place_of_the_knob_that_it_decides(magnitude):
    def ordered(value, quantity="bytes"):
        return magnitude(budget={"quantity": quantity, "value": value, "knob": "sparsity", "candidates": [0.0, 1.0]})

    configs = [config(ordered(8_000)), config(ordered(128_000)), config(ordered(0.5, "macs"))]
    assert format_distinct_labels(configs) == [
        "magnitude ≤8,000 bytes",
        "magnitude ≤128,000 bytes",
        "magnitude ≤0.5 macs",
    ]
    assert select_differing_values(configs[:2])[0] == {"budget.bytes": 8_000}


def test_two_steps_of_one_method_keep_their_own_names(magnitude):
    steps = [magnitude(0.5, name="first"), magnitude(0.9, name="second")]
    assert format_distinct_labels([config(*steps)]) == ["first 0.5 → second 0.9"]


def test_an_architecture_is_told_as_its_option():
    assert get_architecture_option(config(name="lenet5")) == "basic/lenet5"
    assert get_architecture_option(config(name="resnet10t", source="timm")) == "timm/resnet10t"


@pytest.mark.parametrize(
    ("step", "label"),
    [
        ({"method": "pruning/filter_l1", "channels_removed": 0.5}, "filter_l1 0.5"),
        ({"method": "decomposition/svd", "rank_fraction": 0.25, "energy": None}, "svd 0.25"),
        ({"method": "decomposition/svd", "rank_fraction": 0.25, "energy": 0.9}, "svd energy=0.9"),
        ({"method": "quantization/levels", "quant_max": 3, "bias_bits": 6}, "levels 3"),
        ({"method": "transfer/kd", "channels_removed": 0.0}, "kd"),
        ({"method": "control/nncodec", "max_drop": 0.2}, "nncodec max_drop=0.2"),
    ],
)
def test_every_method_shows_its_main_knob(step, label):
    assert format_distinct_labels([config(step)]) == [label]


def test_labels_are_distinct_within_their_own_table(magnitude):
    digits = config(magnitude()) | {"dataset": {"name": "digits", "img_size": 8, "std": [0.37596626]}}
    assert format_labels_by_table([config(magnitude()), digits, config(magnitude(), epochs=1)]) == [
        "magnitude 0.9 [recipe.epochs=8]",
        "magnitude 0.9",
        "magnitude 0.9 [recipe.epochs=1]",
    ]


def test_what_follows_from_the_data_is_left_out_where_another_key_tells_rows_apart(magnitude):
    data = [{"name": "digits", "train_size": size, "std": [size / 1000]} for size in (100, 200)]
    configs = [config(magnitude()) | {"dataset": dataset} for dataset in data]
    assert format_distinct_labels(configs) == [
        "magnitude 0.9 [dataset.train_size=100]",
        "magnitude 0.9 [dataset.train_size=200]",
    ]
    moved = [config() | {"dataset": {"name": "mine", "fingerprint": fingerprint}} for fingerprint in ("aa", "bb")]
    assert format_distinct_labels(moved) == ["dense [dataset.fingerprint=aa]", "dense [dataset.fingerprint=bb]"]
