"""What made a stored result, as keys of configs are typed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Record = Mapping[str, Any]
NAMED_GROUPS = ("architecture", "dataset", "task")  # a group alone means its name
REFERENCES_KEY = "references"


class ResultConfigs:
    """What made a result, as keys are typed: `recipe.lr`, `compression.magnitude.sparsity`; parents' keys included."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._flattened: dict[str, Json] = {}

    def flatten_config(self, record: Record) -> Json:
        """Return the keys and values of a result's config."""
        if record["signature"] not in self._flattened:
            parent = self._store.find_record(record["parents"][0]) if record["parents"] else None
            before = self.flatten_config(parent) if parent else {"compression": []}
            self._flattened[record["signature"]] = {
                **before,
                **_flatten_stage_config(record, before),
                **self._flatten_references(record),
            }
        return self._flattened[record["signature"]]

    def _flatten_references(self, record: Record) -> Json:
        """The networks that a step refers to, by the knob that named them: `compression.kd.teacher.recipe.epochs`."""
        found: Json = {}
        for name, signature in zip(record["stage_config"].get(REFERENCES_KEY, ()), record["parents"][1:], strict=False):
            knob = f"compression.{_get_method_name(record['stage_config']['step'])}.{name}"
            other = self._store.find_record(signature)
            keys = self.flatten_config(other) if other else {}
            found |= {f"{knob}.signature": signature} | {f"{knob}.{key}": value for key, value in keys.items()}
        return found


def _flatten_stage_config(record: Record, parent_keys: Json) -> Json:
    found: Json = {}
    for group, values in record["stage_config"].items():
        if group == "step":
            name = _get_method_name(values)
            found["compression"] = [*parent_keys["compression"], name]
            found |= {f"compression.{name}.{key}": value for key, value in _iterate_leaves(values)}
            if "budget" in values:
                found[f"budget.{values['budget']['quantity']}"] = values["budget"]["value"]
        elif isinstance(values, Mapping):
            found |= {f"{group}.{key}": value for key, value in _iterate_leaves(values)}
            found |= {group: values["name"]} if group in NAMED_GROUPS and "name" in values else {}
        elif group not in parent_keys and group != REFERENCES_KEY:  # a step's seed follows from the first one
            found[group] = values
    return found


def _get_method_name(step: Record) -> str:
    name: str = step["method"].rpartition("/")[2]
    return name


def _iterate_leaves(values: Record) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in _iterate_leaves(value))
        else:
            yield key, value
