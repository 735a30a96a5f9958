"""What a reader must know before two rows are compared: codes, each explained in a line."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from convarium.comparison import labels, training_length
from convarium.comparison.result import NetworkResult
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
MIN_SEEDS = 3
STEPS_TOLERANCE = 0.01
MAX_CLASS_SIZE_RATIO = 1.5
DATASET_IDENTITY_KEYS = ("name", "fingerprint", "train_size")

SeedResults = Sequence[NetworkResult]
DensePairs = Sequence[tuple[NetworkResult, NetworkResult]]


def audit_rows(rows: Sequence[SeedResults], pairs: Sequence[DensePairs]) -> list[list[str]]:
    """Return the codes of each row of one comparison, in the order of CODE_EXPLANATIONS.

    Args:
        rows: the results of each row, one a seed.
        pairs: for each row its results with their dense networks, as far as these are measured.
    """
    points = _group_operating_points(rows)
    found: dict[str, list[bool]] = {
        "few_seeds": [len(row) < MIN_SEEDS for row in rows],
        "no_dense": [not row[0].is_dense and not paired for row, paired in zip(rows, pairs, strict=True)],
        "unpaired_seeds": [0 < len(paired) < len(row) for row, paired in zip(rows, pairs, strict=True)],
        "other_baseline": _flag_other_baseline(rows, pairs),
        "other_data": _flag_other_values(
            rows, lambda one: canonical_json([one.config["dataset"].get(key) for key in DATASET_IDENTITY_KEYS])
        ),
        "other_steps": [any(_has_other_steps(*pair) for pair in paired) for paired in pairs],
        "other_protocol": _flag_other_protocol(rows),
        "other_host": _flag_other_values(rows, lambda one: one.provenance.latency_host),
        "other_versions": _flag_other_values(rows, lambda one: one.provenance.versions or None),
        "other_images": [_count_test_set_sizes(row, paired) > 1 for row, paired in zip(rows, pairs, strict=True)],
        "uneven_classes": [any(_is_uneven(one) for one in row) for row in rows],
        "void_latency": [any(one.is_latency_void for one in row) for row in rows],
        "over_budget": [any(_is_over_budget(one) for one in row) for row in rows],
        "one_operating_point": [_has_lossy_method(row) and len(points[_get_method_key(row)]) == 1 for row in rows],
    }
    return [[code for code in found if found[code][place]] for place in range(len(rows))]


def select_explanations(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the explanations of the codes that occur in a document's rows."""
    there = {code for row in rows for code in row["audit"]}
    return {code: text for code, text in CODE_EXPLANATIONS.items() if code in there}


def add_audit_code(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Return a document's row with one code more."""
    return {**row, "audit": [each for each in CODE_EXPLANATIONS if each in (*row["audit"], code)]}


def _flag_other_values(
    rows: Sequence[SeedResults],
    get_value: Callable[[NetworkResult], Hashable | None],
    get_group: Callable[[SeedResults], Hashable] = lambda row: None,
) -> list[bool]:
    """Whether a seed of a row has another value than the first of its group that has one."""
    norms: dict[Hashable, Hashable] = {}
    found = []
    for row in rows:
        values = {get_value(one) for one in row} - {None}
        if values:
            norm = norms.setdefault(get_group(row), next(get_value(one) for one in row if get_value(one) is not None))
            values -= {norm}
        found.append(bool(values))
    return found


def _flag_other_protocol(rows: Sequence[SeedResults]) -> list[bool]:
    quality = _flag_other_values(
        rows, lambda one: one.provenance.quality_protocol or None, lambda row: _get_dataset_name(row[0])
    )
    timing = _flag_other_values(rows, lambda one: one.provenance.latency_protocol)
    return [a or b for a, b in zip(quality, timing, strict=True)]


def _flag_other_baseline(rows: Sequence[SeedResults], pairs: Sequence[DensePairs]) -> list[bool]:
    bases = [
        [dense for _, dense in paired] or [one for one in row if one.is_dense]
        for row, paired in zip(rows, pairs, strict=True)
    ]
    first = _flag_other_values(
        bases, _get_origin_key, lambda row: (labels.get_architecture_option(row[0].config), _get_dataset_name(row[0]))
    )
    own = [any(_has_other_config(*pair) for pair in paired) for paired in pairs]
    return [a or b for a, b in zip(own, first, strict=True)]


def _get_origin_key(dense: NetworkResult) -> Hashable:
    """How a dense network was made, but for its seed."""
    return canonical_json(
        [dense.config["architecture"], None if _has_adopted_weights(dense) else dense.config["recipe"]]
    )


def _has_other_config(result: NetworkResult, dense: NetworkResult) -> bool:
    keys = ("architecture",) if _has_adopted_weights(dense) else ("architecture", "recipe", "seed")
    return any(dense.config[key] != result.config[key] for key in keys)


def _has_adopted_weights(dense: NetworkResult) -> bool:
    """Adopted weights serve every recipe and seed."""
    return dense.config["architecture"].get("weights") is not None


def _get_dataset_name(result: NetworkResult) -> str:
    return str(result.config["dataset"]["name"])


def _has_other_steps(result: NetworkResult, dense: NetworkResult) -> bool:
    ours, theirs = training_length.count_planned_steps(result.config), training_length.count_planned_steps(dense.config)
    if ours is None or theirs is None:
        ours, theirs = (
            training_length.count_planned_epochs(result.config),
            training_length.count_planned_epochs(dense.config),
        )
    return abs(ours - theirs) > STEPS_TOLERANCE * theirs


def _count_test_set_sizes(row: SeedResults, pairs: DensePairs) -> int:
    return len({result.image_count for result in [*row, *(dense for _, dense in pairs)]})


def _is_uneven(result: NetworkResult) -> bool:
    sizes = result.images_per_class
    return bool(sizes) and max(sizes) > MAX_CLASS_SIZE_RATIO * min(sizes)


def _is_over_budget(result: NetworkResult) -> bool:
    size = result.metrics.get("file_bytes")
    return size is not None and any(size > most for most in _get_budget_limits(result, "bytes"))


def _get_budget_limits(result: NetworkResult, quantity: str) -> list[float]:
    orders = [step["budget"] for step in result.config["compression"] if "budget" in step]
    return [float(order["value"]) for order in orders if order["quantity"] == quantity]


def _has_lossy_method(row: SeedResults) -> bool:
    """Whether there is anything to set: a dense network and a lossless coder have one size each."""
    return any(not step["method"].startswith("coding/") for step in row[0].config["compression"])


def _get_method_key(row: SeedResults) -> Hashable:
    config = row[0].config
    methods = [step["method"] for step in config["compression"]]
    return canonical_json([config["architecture"], _get_dataset_name(row[0]), methods])


def _group_operating_points(rows: Sequence[SeedResults]) -> dict[Hashable, set[str]]:
    found: dict[Hashable, set[str]] = {}
    for row in rows:
        config = row[0].config
        found.setdefault(_get_method_key(row), set()).add(canonical_json(config["compression"]))
    return found
