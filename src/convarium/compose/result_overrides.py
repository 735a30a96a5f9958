"""A command line from a config: the groups' options, then every value that differs from what they compose to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError
from convarium.stages.declaration import makes_network

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = Mapping[str, Any]
OMITTED_STEP_KEYS = ("method", "name", "version", "phases", "budget")


def rebuild_overrides(store: "Store", record: Json) -> list[str] | None:
    """Return overrides that compose to the config a result was made from, None where they can't be told."""
    network = record["signature"] if makes_network(record["stage"]) else record["parents"][0]
    chain = list(store.walk_chain(network))
    if not chain or chain[-1]["parents"]:
        return None
    try:
        return _find_shortest_overrides(chain, record)
    except (UserError, KeyError):
        return None


def _find_shortest_overrides(chain: Sequence[Json], record: Json) -> list[str]:
    config, steps = _find_dense_config(chain, record), [_restore_step(one) for one in reversed(chain[:-1])]
    steps += chain[0]["stage_config"].get("following", [])
    groups = [*_format_architecture(config["architecture"]), f"dataset={config['dataset']['name']}"]
    groups += [f"compression={_format_override_value([step['method'] for step in steps])}"] if steps else []
    best = min(
        (_find_differing_overrides(config, steps, [*groups, recipe]) for recipe in _list_recipe_choices(config)),
        key=len,
    )
    return [*best, *_format_measurement(record["stage_config"])]


def _find_dense_config(chain: Sequence[Json], record: Json) -> Json:
    if chain[-1]["stage"] == "train":
        own: Json = chain[-1]["stage_config"]
        return own
    from convarium.comparison import adopted_config

    return adopted_config.derive_adopted_config(chain, record["stage_config"]["dataset"])


def _restore_step(record: Json) -> dict[str, Any]:
    """A step's knobs; the networks it refers to by their signatures."""
    step = dict(record["stage_config"]["step"])
    for name, parent in zip(record["stage_config"]["references"], record["parents"][1:], strict=True):
        *terms, knob = name.split(".")
        within = step
        for term in terms:
            within[term] = dict(within[term])
            within = within[term]
        within[knob] = {"signature": parent}
    return step


def _format_architecture(architecture: Json) -> list[str]:
    own = architecture["source"] == "own"
    return [f"architecture={architecture['name']}"] if own else [
        f"architecture={architecture['source']}", f"architecture.name={architecture['name']}",
    ]  # fmt: skip


def _list_recipe_choices(config: Json) -> list[str]:
    from convarium.config.search_path import list_group_options

    return [f"recipe={name}" for name in list_group_options("recipe")] if "recipe" in config else ["recipe=sgd_cosine"]


def _find_differing_overrides(config: Json, steps: Sequence[Json], groups: Sequence[str]) -> list[str]:
    """Return `groups` and one override for each value in which what they compose to is another."""
    from convarium.compose.points import compose_points

    budgets = [f"budget.{step['budget']['quantity']}={step['budget']['value']}" for step in steps if "budget" in step]
    (point,) = compose_points(
        [*groups, *budgets, f"seed={config['seed']}", *_format_terms_and_references(steps)]
    ).check_points()
    found: list[str] = list(point.overrides)
    for group in ("architecture", "dataset", "recipe"):
        found += _format_differing_values(group, config.get(group, {}), point.config[group])
    for step, default in zip(steps, point.config["compression"], strict=True):
        knob = step.get("budget", {}).get("knob")
        wanted = {key: value for key, value in step.items() if key not in (*OMITTED_STEP_KEYS, knob)}
        found += _format_differing_values(f"compression.{_get_method_name(step)}", wanted, default)
    return found


def _format_terms_and_references(steps: Sequence[Json]) -> list[str]:
    """Terms are switched on, and networks named, before anything can be composed."""
    found = []
    for step in steps:
        if step.get("terms"):
            found.append(f"compression.{_get_method_name(step)}.terms={_format_override_value(step['terms'])}")
        for path, value in _iterate_leaves(f"compression.{_get_method_name(step)}", step):
            found += [f"{path}={_format_override_value(value)}"] if path.endswith(".signature") else []
    return found


def _iterate_leaves(path: str, values: Json) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _iterate_leaves(f"{path}.{key}", value)
        else:
            yield f"{path}.{key}", value


def _format_differing_values(path: str, wanted: Json, default: Json) -> list[str]:
    found = []
    for key, value in wanted.items():
        other = default.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping) and other:
            found += _format_differing_values(f"{path}.{key}", value, other)
        elif value != other and key not in OMITTED_STEP_KEYS:
            found.append(f"{path}.{key}={_format_override_value(value)}")
    return found


def _format_measurement(stage_config: Json) -> list[str]:
    """What asks for the stage itself where it is a time or an execution."""
    setting = stage_config.get("measurement", stage_config)
    if "executor" not in setting:
        return []
    found = {
        "executors": [setting["executor"]],
        "batch_sizes": [setting.get("batch", 1)],
        "threads": setting.get("threads", 1),
    }
    return [f"measurement.{key}={_format_override_value(value)}" for key, value in found.items()]


def _get_method_name(step: Json) -> str:
    return str(step["method"]).rpartition("/")[2]


def _format_override_value(value: Any) -> str:
    """Return a JSON value in the grammar of overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_format_override_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_format_override_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not value.replace("_", "a").replace("/", "a").isidentifier():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)
