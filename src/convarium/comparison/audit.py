"""Audit of a comparison: codes for what a reader must know before comparing two rows, each explained in a line."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from convarium.comparison import labels, training_length
from convarium.comparison.dense_differences import DensePairs
from convarium.comparison.result import DATASET_IDENTITY_KEYS, NetworkResult
from convarium.store.signature import canonical_json

CODE_EXPLANATIONS = {
    "few_seeds": "fewer than 3 seeds: differences between seeds are hardly known",
    "no_dense": "its dense network is not measured: no difference is shown",
    "unpaired_seeds": "some seeds lack their dense network: the difference is over the others",
    "other_baseline": "its dense network has another architecture, recipe or seed than the row, or another origin than"
    " that of the first row of its table",
    "other_data": "other data (dataset, fingerprint or train_size) than the first row",
    "other_steps": "its training steps, retraining included, differ by more than 1 % from its dense network's",
    "other_protocol": "measured in another way (splits, image size, latency's settings) than the first row of its data",
    "other_host": "its latency was taken on another host than the first row's",
    "other_versions": "made or measured with other versions of convarium, torch or timm than the first row",
    "other_images": "its seeds were measured on test sets of different sizes: no interval over images",
    "uneven_classes": "the largest class has more than 1.5 times the test images of the smallest: bal. % is the mean of"
    " the classes' accuracies",
    "void_latency": "the machine was too busy: latency is not shown",
    "over_budget": "the file is larger than the budget asked for",
    "one_operating_point": "its method stands at one setting only: no curve to compare",
    "chosen_on_test": "these rows were chosen by a figure of the test images: it is no estimate any more",
}
# CODE_EXPLANATIONS spells out these limits.
MIN_SEEDS = 3
STEPS_TOLERANCE = 0.01
MAX_CLASS_SIZE_RATIO = 1.5

SeedResults = Sequence[NetworkResult]


def audit_rows(rows: Sequence[SeedResults], pairs: Sequence[DensePairs]) -> list[list[str]]:
    """Return the codes of each row of one comparison, in the order of CODE_EXPLANATIONS.

    Args:
        rows: the results of each row, one per seed.
        pairs: for each row its results with their dense networks, where these are measured.
    """
    flags = {
        "few_seeds": [len(row) < MIN_SEEDS for row in rows],
        "no_dense": [not row[0].is_dense and not row_pairs for row, row_pairs in zip(rows, pairs, strict=True)],
        "unpaired_seeds": [0 < len(row_pairs) < len(row) for row, row_pairs in zip(rows, pairs, strict=True)],
        "other_baseline": _flag_other_baseline(rows, pairs),
        "other_data": _flag_other_values(rows, _get_data_key),
        "other_steps": [any(_has_other_steps(*pair) for pair in row_pairs) for row_pairs in pairs],
        "other_protocol": _flag_other_protocol(rows),
        "other_host": _flag_other_values(rows, lambda result: result.provenance.latency_host),
        "other_versions": _flag_other_values(rows, lambda result: result.provenance.versions or None),
        "other_images": [_count_test_set_sizes(row, row_pairs) > 1 for row, row_pairs in zip(rows, pairs, strict=True)],
        "uneven_classes": [any(_is_uneven(result) for result in row) for row in rows],
        "void_latency": [any(result.is_latency_void for result in row) for row in rows],
        "over_budget": [any(_is_over_budget(result) for result in row) for row in rows],
        "one_operating_point": _flag_one_operating_point(rows),
    }
    return [[code for code in flags if flags[code][index]] for index in range(len(rows))]


def select_explanations(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the explanations of the codes that occur in a document's rows."""
    codes = {code for row in rows for code in row["audit"]}
    return {code: text for code, text in CODE_EXPLANATIONS.items() if code in codes}


def add_audit_code(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Return a document's row with `code` added, its codes in the order of CODE_EXPLANATIONS."""
    codes = {*row["audit"], code}
    return {**row, "audit": [known_code for known_code in CODE_EXPLANATIONS if known_code in codes]}


def _flag_other_values(
    rows: Sequence[SeedResults],
    get_value: Callable[[NetworkResult], Hashable | None],
    get_group: Callable[[SeedResults], Hashable] = lambda row: None,
) -> list[bool]:
    """Return, for each row, whether a seed has another value than the first of the row's group that has one."""
    expected_values: dict[Hashable, Hashable] = {}
    flags = []
    for row in rows:
        values = [value for value in map(get_value, row) if value is not None]
        if not values:
            flags.append(False)
            continue
        expected_value = expected_values.setdefault(get_group(row), values[0])
        flags.append(any(value != expected_value for value in values))
    return flags


def _get_data_key(result: NetworkResult) -> Hashable:
    dataset = result.config["dataset"]
    return canonical_json([dataset.get(key) for key in DATASET_IDENTITY_KEYS])


def _flag_other_protocol(rows: Sequence[SeedResults]) -> list[bool]:
    # Splits and image size belong to a dataset; the settings of latency do not.
    has_other_quality_protocol = _flag_other_values(
        rows, lambda result: result.provenance.quality_protocol or None, lambda row: _get_dataset_name(row[0])
    )
    has_other_latency_protocol = _flag_other_values(rows, lambda result: result.provenance.latency_protocol)
    return _combine_flags(has_other_quality_protocol, has_other_latency_protocol)


def _flag_other_baseline(rows: Sequence[SeedResults], pairs: Sequence[DensePairs]) -> list[bool]:
    dense_rows = []
    for row, row_pairs in zip(rows, pairs, strict=True):
        paired_dense = [dense for _, dense in row_pairs]
        dense_rows.append(paired_dense or [result for result in row if result.is_dense])
    has_other_origin = _flag_other_values(dense_rows, _get_origin_key, _get_table_key)
    has_other_config = [any(_has_other_config(*pair) for pair in row_pairs) for row_pairs in pairs]
    return _combine_flags(has_other_config, has_other_origin)


def _combine_flags(first_flags: Sequence[bool], second_flags: Sequence[bool]) -> list[bool]:
    return [first or second for first, second in zip(first_flags, second_flags, strict=True)]


def _get_table_key(row: SeedResults) -> Hashable:
    """What the rows of one printed table have in common."""
    return labels.get_architecture_option(row[0].config), _get_dataset_name(row[0])


def _get_origin_key(dense: NetworkResult) -> Hashable:
    """How a dense network was made, except for its seed."""
    recipe = None if _has_adopted_weights(dense) else dense.config["recipe"]
    return canonical_json([dense.config["architecture"], recipe])


def _has_other_config(result: NetworkResult, dense: NetworkResult) -> bool:
    keys = ("architecture",) if _has_adopted_weights(dense) else ("architecture", "recipe", "seed")
    return any(dense.config[key] != result.config[key] for key in keys)


def _has_adopted_weights(dense: NetworkResult) -> bool:
    """Whether the weights were adopted; such weights serve every recipe and seed."""
    return dense.config["architecture"].get("weights") is not None


def _get_dataset_name(result: NetworkResult) -> str:
    return str(result.config["dataset"]["name"])


def _has_other_steps(result: NetworkResult, dense: NetworkResult) -> bool:
    length = training_length.count_planned_steps(result.config)
    dense_length = training_length.count_planned_steps(dense.config)
    # Where a config does not say how many images there are, epochs stand for steps.
    if length is None or dense_length is None:
        length = training_length.count_planned_epochs(result.config)
        dense_length = training_length.count_planned_epochs(dense.config)
    return abs(length - dense_length) > STEPS_TOLERANCE * dense_length


def _count_test_set_sizes(row: SeedResults, pairs: DensePairs) -> int:
    results = [*row, *(dense for _, dense in pairs)]
    return len({result.image_count for result in results})


def _is_uneven(result: NetworkResult) -> bool:
    class_sizes = result.images_per_class
    return bool(class_sizes) and max(class_sizes) > MAX_CLASS_SIZE_RATIO * min(class_sizes)


def _is_over_budget(result: NetworkResult) -> bool:
    size = result.metrics.get("file_bytes")
    if size is None:
        return False
    budgets = [step["budget"] for step in result.config["compression"] if "budget" in step]
    return any(size > float(budget["value"]) for budget in budgets if budget["quantity"] == "bytes")


def _flag_one_operating_point(rows: Sequence[SeedResults]) -> list[bool]:
    settings_by_method: dict[Hashable, set[str]] = {}
    for row in rows:
        settings = settings_by_method.setdefault(_get_method_key(row), set())
        settings.add(canonical_json(row[0].config["compression"]))
    return [_has_lossy_method(row) and len(settings_by_method[_get_method_key(row)]) == 1 for row in rows]


def _has_lossy_method(row: SeedResults) -> bool:
    """Whether a method has anything to set: a dense network and a lossless coder have one size each."""
    return any(not step["method"].startswith("coding/") for step in row[0].config["compression"])


def _get_method_key(row: SeedResults) -> Hashable:
    config = row[0].config
    methods = [step["method"] for step in config["compression"]]
    return canonical_json([config["architecture"], _get_dataset_name(row[0]), methods])
