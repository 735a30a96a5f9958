"""The JSON document that the HTML page shows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from convarium.comparison.report import row_details
from convarium.comparison.report.row_answers import SeedAnswers, build_row_answers, read_row_answers
from convarium.comparison.report.shown_images import ShownImages, build_image_sets
from convarium.comparison.result import NetworkResult
from convarium.config.class_names import find_class_names
from convarium.config.override import Override
from convarium.store.signature import canonical_json
from convarium.store.store import Store

Json = dict[str, Any]
DENSE_FAMILY = "dense"
CONTROL_FAMILY = "control"
CONTROL_METHODS = ("pruning/random",)


def build_report(document: Mapping[str, Any], results: Iterable[NetworkResult], store: Store, command: str) -> Json:
    """Return a comparison (from `comparison_document.compare_results`) with all that the store has on its rows.

    Each row gets `family` (such as "pruning + coding"), `control`, `bytes` by kind, `command` and `chains`, the stages
    of each seed, and `answers` to test images; `stages` holds every stage once, `settings` what they ran on and with,
    and `datasets` the class names and the images that answers speak of.
    """
    # Adopted weights are one network under every seed, so the signature alone does not tell results apart.
    results_by_key = {(result.signature, result.seed): result for result in results}
    planned_overrides = row_details.read_planned_overrides(store)
    image_sets: dict[str, ShownImages] = {}
    rows: list[Json] = []
    signatures: dict[str, None] = {}
    for row in document["rows"]:
        # A row of refused points has seeds, but no signatures.
        row_keys = zip(row["signatures"], row["seeds"], strict=False)
        row_results = [results_by_key[key] for key in row_keys]
        chains = [row_details.list_stage_signatures(result, store) for result in row_results]
        for chain in chains:
            signatures |= dict.fromkeys(chain)
        details = _build_row_details(row, row_results, store, planned_overrides)
        answers = _build_answers(row_results, store, planned_overrides, image_sets)
        rows.append({**row, **details, "answers": answers, "chains": chains})
    stages, settings = _collect_stages(signatures, store)
    return {
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("convarium"),
        "missing": document["missing"],
        "margin": document["margin"],
        "audit": document["audit"],
        "rows": rows,
        "datasets": _build_datasets(image_sets.values(), store),
        "stages": stages,
        "settings": settings,
    }


def get_method_family(row: Mapping[str, Any]) -> str:
    """Return the kinds of methods of a row, such as "pruning + coding"; "dense" or "control" where it is a control."""
    if is_control(row):
        is_dense = row["signatures"] == row["dense"] and not row["compression"]
        return DENSE_FAMILY if is_dense else CONTROL_FAMILY
    kinds = [_get_method_kind(step["method"]) for step in row["compression"]]
    return " + ".join(dict.fromkeys(kinds))


def is_control(row: Mapping[str, Any]) -> bool:
    """Whether a row is a network without compression, or made by a method that claims nothing."""
    methods = [step["method"] for step in row["compression"]]
    if not methods:
        return True
    return any(method in CONTROL_METHODS or _get_method_kind(method) == CONTROL_FAMILY for method in methods)


def _get_method_kind(method: str) -> str:
    return method.partition("/")[0]


def _build_row_details(
    row: Mapping[str, Any],
    results: Sequence[NetworkResult],
    store: Store,
    planned_overrides: Mapping[str, Sequence[str]],
) -> Json:
    return {
        "family": get_method_family(row),
        "control": is_control(row),
        "bytes": row_details.average_bytes_by_kind(results, store),
        "command": row_details.format_run_command(results, planned_overrides),
    }


def _build_answers(
    results: Sequence[NetworkResult],
    store: Store,
    planned_overrides: Mapping[str, Sequence[str]],
    image_sets: dict[str, ShownImages],
) -> Json | None:
    """Return a row's answers, their dataset as its place in `image_sets`; what they show is added there."""
    seeds = read_row_answers(results, store)
    answers = build_row_answers(seeds)
    if answers is None:
        return None
    image_set = _find_image_set(results[0], seeds, store, planned_overrides, image_sets)
    image_set.rankings.append([costly["image"] for costly in answers["costly"]])
    return {**answers, "dataset": list(image_sets.values()).index(image_set)}


def _find_image_set(
    result: NetworkResult,
    seeds: Sequence[SeedAnswers],
    store: Store,
    planned_overrides: Mapping[str, Sequence[str]],
    image_sets: dict[str, ShownImages],
) -> ShownImages:
    (measure_record, *_) = row_details.read_measurement_records(result, store, "measure")
    dataset = measure_record["stage_config"]["dataset"]
    key = canonical_json(dataset)
    if key not in image_sets:
        root = _find_data_root(result, planned_overrides.get(result.signature, ()))
        image_sets[key] = ShownImages(dataset, root, seeds[0].answers.labels, store.find_folder(result.signature))
    return image_sets[key]


def _find_data_root(result: NetworkResult, planned_overrides: Sequence[str]) -> str | None:
    """Return the folder that a point's data were read from: a result's record leaves it out."""
    root: str | None = result.config["dataset"].get("root")
    planned_roots = [Override(text).value for text in planned_overrides if Override(text).key == "dataset.root"]
    return root or next(iter(planned_roots), None)


def _build_datasets(image_sets: Iterable[ShownImages], store: Store) -> list[Json]:
    image_sets = list(image_sets)
    images = build_image_sets(image_sets, store)
    return [
        {"names": find_class_names(image_set.dataset), **document}
        for image_set, document in zip(image_sets, images, strict=True)
    ]


def _collect_stages(signatures: Iterable[str], store: Store) -> tuple[Json, list[Json]]:
    """Return the stages by signature, each with the index of its setting in the list of different settings."""
    stages: Json = {}
    settings: list[Json] = []
    for signature in signatures:
        setting = row_details.read_stage_setting(signature, store)
        if setting not in settings:
            settings.append(setting)
        details = row_details.read_stage_details(signature, store)
        stages[signature] = {**details, "setting": settings.index(setting)}
    return stages, settings
