"""A command line from a stored result: the groups' options, then every value in which its config differs from them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.compose.override_values import OMITTED_STEP_KEYS, format_differing_values, format_override_value
from convarium.config.recipe import restore_default_keys
from convarium.errors import UserError
from convarium.host.devices import find_gpu_name
from convarium.host.provenance import read_cpu_model
from convarium.stages.declaration import makes_network
from convarium.stages.timing_config import EAGER_EXECUTOR

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = Mapping[str, Any]


def rebuild_overrides(store: "Store", record: Json) -> list[str] | None:
    """Return overrides that compose to the config a result was made from; None where there are none any more."""
    network = record["signature"] if makes_network(record["stage"]) else record["parents"][0]
    chain = list(store.walk_chain(network))
    is_whole_chain = chain and not chain[-1]["parents"]
    if not is_whole_chain:
        return None
    try:
        return _find_shortest_overrides(chain, record)
    except (UserError, KeyError):
        # An option or a knob of then is no longer there.
        return None


def _find_shortest_overrides(chain: Sequence[Json], record: Json) -> list[str]:
    """Return the overrides with the recipe to which the result's has the fewest differences.

    Args:
        chain: records of the stages that made the network, the last step first.
        record: the result's own.
    """
    config = _get_dense_config(chain, record)
    steps = [_restore_step(step_record) for step_record in reversed(chain[:-1])]
    # A step that solved a budget knows the steps that came after it.
    steps += chain[0]["stage_config"].get("following", [])
    groups = [*_format_architecture(config["architecture"]), f"dataset={config['dataset']['name']}"]
    if steps:
        groups.append(f"compression={format_override_value([step['method'] for step in steps])}")
    candidates = [
        _find_differing_overrides(config, steps, [*groups, f"recipe={recipe}"])
        for recipe in _list_candidate_recipes(config)
    ]
    return [*min(candidates, key=len), *_format_measurement(chain, record)]


def _get_dense_config(chain: Sequence[Json], record: Json) -> Json:
    if chain[-1]["stage"] == "train":
        stage_config: Json = chain[-1]["stage_config"]
        return stage_config
    from convarium.comparison import adopted_config

    return adopted_config.derive_adopted_config(chain, record["stage_config"]["dataset"])


def _restore_step(record: Json) -> dict[str, Any]:
    """Return a step's knobs as they were composed: with the signatures of the networks that it refers to."""
    step = dict(record["stage_config"]["step"])
    for name, parent in zip(record["stage_config"]["references"], record["parents"][1:], strict=True):
        *terms, knob = name.split(".")
        block = step
        for term in terms:
            block[term] = dict(block[term])
            block = block[term]
        block[knob] = {"signature": parent}
    return step


def _format_architecture(architecture: Json) -> list[str]:
    if architecture["source"] == "own":
        return [f"architecture={architecture['name']}"]
    return [f"architecture={architecture['source']}", f"architecture.name={architecture['name']}"]


def _list_candidate_recipes(config: Json) -> list[str]:
    """Return all recipes; for a network that was adopted without training any one."""
    from convarium.config.search_path import list_group_options

    return list_group_options("recipe") if "recipe" in config else ["sgd_cosine"]


def _find_differing_overrides(config: Json, steps: Sequence[Json], groups: Sequence[str]) -> list[str]:
    """Return `groups` and one override for each value in which what they compose to is another."""
    from convarium.compose.points import compose_points

    budgets = [step["budget"] for step in steps if "budget" in step]
    arguments = [
        *groups,
        *(f"budget.{budget['quantity']}={budget['value']}" for budget in budgets),
        f"seed={config['seed']}",
        *_format_terms_and_references(steps),
    ]
    (point,) = compose_points(arguments).check_points()
    overrides: list[str] = list(point.overrides)
    for group in ("architecture", "dataset"):
        overrides += format_differing_values(group, config.get(group, {}), point.config[group])
    if "recipe" in config:
        # A key at its default is in neither config, but an option of the user's may set it.
        recipe, default_recipe = map(restore_default_keys, (config["recipe"], point.config["recipe"]))
        overrides += format_differing_values("recipe", recipe, default_recipe)
    for step, default in zip(steps, point.config["compression"], strict=True):
        # The knob of a budget has the value that was solved: asked for it would be another step.
        omitted_keys = (*OMITTED_STEP_KEYS, step.get("budget", {}).get("knob"))
        knobs = {key: value for key, value in step.items() if key not in omitted_keys}
        overrides += format_differing_values(f"compression.{_get_method_name(step)}", knobs, default)
    return overrides


def _format_terms_and_references(steps: Sequence[Json]) -> list[str]:
    """Return what must be set before steps can be composed: terms that are switched on, and networks that are named."""
    overrides = []
    for step in steps:
        path = f"compression.{_get_method_name(step)}"
        if step.get("terms"):
            overrides.append(f"{path}.terms={format_override_value(step['terms'])}")
        for key, value in _iterate_leaves(path, step):
            if key.endswith(".signature"):
                overrides.append(f"{key}={format_override_value(value)}")
    return overrides


def _iterate_leaves(path: str, values: Json) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _iterate_leaves(f"{path}.{key}", value)
        else:
            yield f"{path}.{key}", value


def _format_measurement(chain: Sequence[Json], record: Json) -> list[str]:
    """Return what asks for a stage `time` or `execute`, or for the timing of a budget; nothing for other stages."""
    stage_config = record["stage_config"]
    step_configs = [step_record["stage_config"] for step_record in chain]
    budget_timings = [step_config["time"] for step_config in step_configs if "time" in step_config]
    timing = stage_config if "host" in stage_config else next(iter(budget_timings), None)
    if timing is None:
        return []
    setting = timing.get("measurement", timing)
    measurement = {
        "batch_sizes": [setting.get("batch", 1)],
        "threads": setting.get("threads", 1),
        **_select_named_hardware(setting, timing["host"]),
    }
    if timing is stage_config or setting["executor"] != EAGER_EXECUTOR:
        measurement = {"executors": [setting["executor"]], **measurement}
    return [f"measurement.{key}={format_override_value(value)}" for key, value in measurement.items()]


def _select_named_hardware(setting: Json, host: Json) -> dict[str, str]:
    """Return the device where it is not the processor, and the names of hardware where it is not this host's."""
    names = {"device": setting["device"]} if "device" in setting else {}
    if host["cpu"] != read_cpu_model():
        names["cpu"] = host["cpu"]
    if "gpu" in host and host["gpu"] != find_gpu_name():
        names["gpu"] = host["gpu"]
    return names


def _get_method_name(step: Json) -> str:
    return str(step["method"]).rpartition("/")[2]
