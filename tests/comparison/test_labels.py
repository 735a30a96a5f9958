"""Every row has a name of its own, as short as it can be."""

from convarium.comparison.labels import format_distinct_labels, get_architecture_option, select_differing_values


def config(*steps, name="lenet5", source="own", epochs=8):
    architecture, dataset = {"source": source, "name": name}, {"name": "mnist5k"}
    return {
        "architecture": architecture, "dataset": dataset, "recipe": {"epochs": epochs}, "compression": list(steps),
    }  # fmt: skip


def test_a_chain_is_told_by_its_methods_and_its_sparsity(magnitude, kmeans):
    huffman = {"method": "coding/huffman", "version": 1, "phases": []}
    assert format_distinct_labels([config(), config(magnitude(), kmeans(), huffman)]) == [
        "dense",
        "magnitude 0.9 → kmeans → huffman",
    ]


def test_equal_labels_get_the_knobs_in_which_they_differ(magnitude, kmeans):
    assert format_distinct_labels([config(kmeans(5)), config(kmeans(3)), config(magnitude())]) == [
        "kmeans bits=5",
        "kmeans bits=3",
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
