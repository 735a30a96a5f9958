"""What a reader must know before two rows are compared: codes, each explained in a line."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from convarium.comparison import labels, training
from convarium.comparison.result import Result
from convarium.store.signature import canonical_json

EXPLANATIONS = {
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
FEW_SEEDS = 3
SAME_STEPS = 0.01
UNEVEN = 1.5
DATA = ("name", "fingerprint", "train_size")

Row = Sequence[Result]
Pairs = Sequence[tuple[Result, Result]]


def codes(rows: Sequence[Row], pairs: Sequence[Pairs]) -> list[list[str]]:
    """Return the codes of each row of one comparison, in the order of EXPLANATIONS.

    Args:
        rows: the results of each row, one a seed.
        pairs: for each row its results with their dense networks, as far as these are measured.
    """
    points = _operating_points(rows)
    found: dict[str, list[bool]] = {
        "few_seeds": [len(row) < FEW_SEEDS for row in rows],
        "no_dense": [not row[0].is_dense and not paired for row, paired in zip(rows, pairs, strict=True)],
        "unpaired_seeds": [0 < len(paired) < len(row) for row, paired in zip(rows, pairs, strict=True)],
        "other_baseline": _other_baseline(rows, pairs),
        "other_data": _others(rows, lambda one: canonical_json([one.config["dataset"].get(key) for key in DATA])),
        "other_steps": [any(_other_steps(*pair) for pair in paired) for paired in pairs],
        "other_protocol": _other_protocol(rows),
        "other_host": _others(rows, lambda one: one.facts.host),
        "other_versions": _others(rows, lambda one: one.facts.versions or None),
        "other_images": [_images(row, paired) > 1 for row, paired in zip(rows, pairs, strict=True)],
        "uneven_classes": [any(_is_uneven(one) for one in row) for row in rows],
        "void_latency": [any(one.void for one in row) for row in rows],
        "over_budget": [any(_is_over_budget(one) for one in row) for row in rows],
        "one_operating_point": [_has_knob(row) and len(points[_method(row)]) == 1 for row in rows],
    }
    return [[code for code in found if found[code][place]] for place in range(len(rows))]


def legend(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the explanations of the codes that occur in a document's rows."""
    there = {code for row in rows for code in row["audit"]}
    return {code: text for code, text in EXPLANATIONS.items() if code in there}


def marked(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Return a document's row with one code more."""
    return {**row, "audit": [each for each in EXPLANATIONS if each in (*row["audit"], code)]}


def _others(
    rows: Sequence[Row],
    value: Callable[[Result], Hashable | None],
    group: Callable[[Row], Hashable] = lambda row: None,
) -> list[bool]:
    """Whether a seed of a row has another value than the first of its group that has one."""
    norms: dict[Hashable, Hashable] = {}
    found = []
    for row in rows:
        values = {value(one) for one in row} - {None}
        if values:
            norm = norms.setdefault(group(row), next(value(one) for one in row if value(one) is not None))
            values -= {norm}
        found.append(bool(values))
    return found


def _other_protocol(rows: Sequence[Row]) -> list[bool]:
    quality = _others(rows, lambda one: one.facts.protocol or None, lambda row: _dataset(row[0]))
    timing = _others(rows, lambda one: one.facts.timing)
    return [a or b for a, b in zip(quality, timing, strict=True)]


def _other_baseline(rows: Sequence[Row], pairs: Sequence[Pairs]) -> list[bool]:
    bases = [
        [dense for _, dense in paired] or [one for one in row if one.is_dense]
        for row, paired in zip(rows, pairs, strict=True)
    ]
    first = _others(bases, _origin, lambda row: (labels.architecture(row[0].config), _dataset(row[0])))
    own = [any(_differ(*pair) for pair in paired) for paired in pairs]
    return [a or b for a, b in zip(own, first, strict=True)]


def _origin(dense: Result) -> Hashable:
    """How a dense network was made, but for its seed."""
    return canonical_json([dense.config["architecture"], None if _is_adopted(dense) else dense.config["recipe"]])


def _differ(result: Result, dense: Result) -> bool:
    keys = ("architecture",) if _is_adopted(dense) else ("architecture", "recipe", "seed")
    return any(dense.config[key] != result.config[key] for key in keys)


def _is_adopted(dense: Result) -> bool:
    """Adopted weights serve every recipe and seed."""
    return dense.config["architecture"].get("weights") is not None


def _dataset(result: Result) -> str:
    return str(result.config["dataset"]["name"])


def _other_steps(result: Result, dense: Result) -> bool:
    ours, theirs = training.steps(result.config), training.steps(dense.config)
    if ours is None or theirs is None:
        ours, theirs = training.epochs(result.config), training.epochs(dense.config)
    return abs(ours - theirs) > SAME_STEPS * theirs


def _images(row: Row, pairs: Pairs) -> int:
    return len({result.images for result in [*row, *(dense for _, dense in pairs)]})


def _is_uneven(result: Result) -> bool:
    sizes = result.class_images
    return bool(sizes) and max(sizes) > UNEVEN * min(sizes)


def _is_over_budget(result: Result) -> bool:
    size = result.metrics.get("file_bytes")
    return size is not None and any(size > most for most in _budgets(result, "bytes"))


def _budgets(result: Result, quantity: str) -> list[float]:
    orders = [step["budget"] for step in result.config["compression"] if "budget" in step]
    return [float(order["value"]) for order in orders if order["quantity"] == quantity]


def _has_knob(row: Row) -> bool:
    """Whether there is anything to set: a dense network and a lossless coder have one size each."""
    return any(not step["method"].startswith("coding/") for step in row[0].config["compression"])


def _method(row: Row) -> Hashable:
    config = row[0].config
    methods = [step["method"] for step in config["compression"]]
    return canonical_json([config["architecture"], _dataset(row[0]), methods])


def _operating_points(rows: Sequence[Row]) -> dict[Hashable, set[str]]:
    found: dict[Hashable, set[str]] = {}
    for row in rows:
        config = row[0].config
        found.setdefault(_method(row), set()).add(canonical_json(config["compression"]))
    return found
