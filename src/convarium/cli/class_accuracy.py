"""A measured network's accuracy by class, under the names that its dataset gives them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convarium.config.class_names import find_class_names

if TYPE_CHECKING:
    from convarium.store.store import Store


def count_right_by_class(record: Mapping[str, Any], store: "Store") -> list[dict[str, Any]]:
    """Return name, number of test images and of right answers for each class; nothing without a measurement.

    Args:
        record: a measurement's, or a network's, whose latest measurement is taken.
    """
    is_measurement = record.get("stage") == "measure"
    measurement = record if is_measurement else find_latest_measurement(record["signature"], store)
    counts = (measurement or {}).get("result", {}).get("per_class")
    if measurement is None or counts is None:
        return []
    names = find_class_names(measurement["stage_config"]["dataset"])
    if names is None:
        names = [str(label) for label in range(len(counts["images"]))]
    rows = zip(names, counts["images"], counts["right"], strict=True)
    return [{"name": name, "images": images, "right": right} for name, images, right in rows]


def format_class_accuracies(classes: list[dict[str, Any]]) -> dict[str, str]:
    """Return the accuracy of each class in words, by its name."""
    texts = {}
    for counts in classes:
        right, images = counts["right"], counts["images"]
        accuracy = f"{100 * right / images:.2f} % ({right} of {images})" if images else "no test images"
        texts[counts["name"]] = accuracy
    return texts


def find_latest_measurement(network: str, store: "Store") -> Mapping[str, Any] | None:
    """Return the record of a network's latest measurement, None if there is none."""
    children = store.find_children(network)
    records = [child for child in children if child["stage"] == "measure" and child["parents"][0] == network]
    return max(records, key=lambda record: str(record["started"]), default=None)
