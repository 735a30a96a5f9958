"""The configs that stored results were made from, flattened to keys as they are typed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from convarium.config.recipe import restore_default_keys

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Record = Mapping[str, Any]
NAMED_GROUPS = ("architecture", "dataset", "task")  # a group alone means its name
REFERENCES_KEY = "references"


class ResultConfigs:
    """Flattened configs of results: `recipe.lr`, `compression.magnitude.sparsity`; with the keys of their parents."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._flattened: dict[str, Json] = {}

    def flatten_config(self, record: Record) -> Json:
        """Return the keys and values of a result's config."""
        if record["signature"] not in self._flattened:
            parent = self._store.find_record(record["parents"][0]) if record["parents"] else None
            parent_keys = self.flatten_config(parent) if parent else {"compression": []}
            self._flattened[record["signature"]] = {
                **parent_keys,
                **_flatten_stage_config(record, parent_keys),
                **self._flatten_references(record),
            }
        return self._flattened[record["signature"]]

    def _flatten_references(self, record: Record) -> Json:
        """Return the keys of networks that a step refers to, below the knob: `compression.kd.teacher.recipe.epochs`."""
        flattened: Json = {}
        references = record["stage_config"].get(REFERENCES_KEY, ())
        # Not strict: a measurement has further parents and no references.
        for name, signature in zip(references, record["parents"][1:], strict=False):
            knob = f"compression.{_get_method_name(record['stage_config']['step'])}.{name}"
            flattened[f"{knob}.signature"] = signature
            network = self._store.find_record(signature)
            if network is not None:
                flattened |= {f"{knob}.{key}": value for key, value in self.flatten_config(network).items()}
        return flattened


def _flatten_stage_config(record: Record, parent_keys: Json) -> Json:
    flattened: Json = {}
    for group, values in record["stage_config"].items():
        if group == "step":
            name = _get_method_name(values)
            flattened["compression"] = [*parent_keys["compression"], name]
            flattened |= {f"compression.{name}.{key}": value for key, value in _iterate_leaves(values)}
            if "budget" in values:
                flattened[f"budget.{values['budget']['quantity']}"] = values["budget"]["value"]
        elif group == "recipe":
            # What is at its default is left out of what is hashed, but may be asked for.
            flattened |= {f"recipe.{key}": value for key, value in _iterate_leaves(restore_default_keys(values))}
        elif isinstance(values, Mapping):
            flattened |= {f"{group}.{key}": value for key, value in _iterate_leaves(values)}
            if group in NAMED_GROUPS and "name" in values:
                flattened[group] = values["name"]
        # The seed of a training is the one that was typed; those of its steps are derived from it.
        elif group not in parent_keys and group != REFERENCES_KEY:
            flattened[group] = values
    return flattened


def _get_method_name(step: Record) -> str:
    name: str = step["method"].rpartition("/")[2]
    return name


def _iterate_leaves(values: Record) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            for inner_key, leaf in _iterate_leaves(value):
                yield f"{key}.{inner_key}", leaf
        else:
            yield key, value
