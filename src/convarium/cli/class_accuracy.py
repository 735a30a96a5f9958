"""A measured network's accuracy by class, under the names that its dataset gives them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convarium.config import search_path

if TYPE_CHECKING:
    from convarium.store.store import Store


def count_right_by_class(record: Mapping[str, Any], store: "Store") -> list[dict[str, Any]]:
    """Return name, test images and right ones of each class: of a measurement, or of the latest one of a network."""
    measured = record if record.get("stage") == "measure" else find_latest_measurement(record["signature"], store)
    counts = (measured or {}).get("result", {}).get("per_class")
    if measured is None or counts is None:
        return []
    names = _find_class_names(measured["stage_config"]["dataset"]) or [
        str(label) for label in range(len(counts["images"]))
    ]
    together = zip(names, counts["images"], counts["right"], strict=True)
    return [{"name": name, "images": images, "right": right} for name, images, right in together]


def format_class_accuracies(classes: list[dict[str, Any]]) -> dict[str, str]:
    """Return the same in words."""
    return {
        one["name"]: f"{100 * one['right'] / one['images']:.2f} % ({one['right']} of {one['images']})"
        if one["images"]
        else "no test images"
        for one in classes
    }


def find_latest_measurement(network: str, store: "Store") -> Mapping[str, Any] | None:
    """Return the record of a network's latest measurement, None if there is none."""
    found = [done for done in store.read_records("measure") if done["parents"][0] == network]
    return max(found, key=lambda done: str(done["started"]), default=None)


def _find_class_names(dataset: Mapping[str, Any]) -> list[str] | None:
    """Return the names: the config's own, or those that the dataset's YAML tells for people (`_class_names_`)."""
    if dataset.get("class_names"):
        return list(dataset["class_names"])
    if (file := search_path.find_config_file("conf", f"dataset/{dataset['name']}")) is None:
        return None
    import yaml

    names = yaml.safe_load(search_path.read_config_text(file)).get("_class_names_")
    return list(names) if names and len(names) == dataset["classes"] else None
