"""The names of a dataset's classes, as people read them."""

from collections.abc import Mapping
from typing import Any

from convarium.config import search_path


def find_class_names(dataset: Mapping[str, Any]) -> list[str] | None:
    """Return the config's class names, or those that the dataset's YAML has for people to read (`_class_names_`)."""
    if dataset.get("class_names"):
        return list(dataset["class_names"])
    file = search_path.find_config_file("conf", f"dataset/{dataset['name']}")
    if file is None:
        return None
    import yaml

    names = yaml.safe_load(search_path.read_config_text(file)).get("_class_names_")
    return list(names) if names and len(names) == dataset["classes"] else None
