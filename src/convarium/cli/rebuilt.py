"""A command line from a config: the groups' options, then every value that differs from what they compose to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = Mapping[str, Any]
SILENT = ("method", "name", "version", "phases", "budget")


def overrides(store: "Store", done: Json) -> list[str] | None:
    """Return overrides that compose to the config a result was made from, None where they can't be told."""
    network = done if done["stage"] in ("train", "compress") else store.done(done["parents"][0])
    chain = list(_chain(store, network))
    if not chain or chain[-1]["stage"] == "compress":
        return None
    try:
        return _overrides(chain, done)
    except (UserError, KeyError):
        return None


def _chain(store: "Store", done: Json | None) -> Iterator[Json]:
    """Yield the records that made a network, last first."""
    while done is not None:
        yield done
        done = store.done(done["parents"][0]) if done["stage"] == "compress" else None


def _overrides(chain: Sequence[Json], done: Json) -> list[str]:
    config, steps = _begun(chain, done), [_step(one) for one in reversed(chain[:-1])]
    steps += chain[0]["stage_config"].get("following", [])
    groups = [*_network(config["architecture"]), f"dataset={config['dataset']['name']}"]
    groups += [f"compression={_text([step['method'] for step in steps])}"] if steps else []
    best = min((_differing(config, steps, [*groups, recipe]) for recipe in _recipes(config)), key=len)
    return [*best, *_measured(done["stage_config"])]


def _begun(chain: Sequence[Json], done: Json) -> Json:
    if chain[-1]["stage"] == "train":
        own: Json = chain[-1]["stage_config"]
        return own
    from convarium.comparison import adopted

    return adopted.config(chain, done["stage_config"]["dataset"])


def _step(done: Json) -> dict[str, Any]:
    """A step's knobs; the networks it refers to by their signatures."""
    step = dict(done["stage_config"]["step"])
    for name, parent in zip(done["stage_config"]["references"], done["parents"][1:], strict=True):
        *terms, knob = name.split(".")
        within = step
        for term in terms:
            within[term] = dict(within[term])
            within = within[term]
        within[knob] = {"signature": parent}
    return step


def _network(architecture: Json) -> list[str]:
    own = architecture["source"] == "own"
    return [f"architecture={architecture['name']}"] if own else [
        f"architecture={architecture['source']}", f"architecture.name={architecture['name']}",
    ]  # fmt: skip


def _recipes(config: Json) -> list[str]:
    from convarium.config.places import options

    return [f"recipe={name}" for name in options("recipe")] if "recipe" in config else ["recipe=sgd_cosine"]


def _differing(config: Json, steps: Sequence[Json], groups: Sequence[str]) -> list[str]:
    """Return `groups` and one override for each value in which what they compose to is another."""
    from convarium.cli.points import ask

    budgets = [f"budget.{step['budget']['quantity']}={step['budget']['value']}" for step in steps if "budget" in step]
    (point,) = ask([*groups, *budgets, f"seed={config['seed']}", *_references(steps)]).accepted()
    found = list(point.overrides)
    for group in ("architecture", "dataset", "recipe"):
        found += _values(group, config.get(group, {}), point.config[group])
    for step, default in zip(steps, point.config["compression"], strict=True):
        knob = step.get("budget", {}).get("knob")
        wanted = {key: value for key, value in step.items() if key not in (*SILENT, knob)}
        found += _values(f"compression.{_name(step)}", wanted, default)
    return found


def _references(steps: Sequence[Json]) -> list[str]:
    """Terms are switched on, and networks named, before anything can be composed."""
    found = []
    for step in steps:
        if step.get("terms"):
            found.append(f"compression.{_name(step)}.terms={_text(step['terms'])}")
        for path, value in _leaves(f"compression.{_name(step)}", step):
            found += [f"{path}={_text(value)}"] if path.endswith(".signature") else []
    return found


def _leaves(path: str, values: Json) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(f"{path}.{key}", value)
        else:
            yield f"{path}.{key}", value


def _values(path: str, wanted: Json, default: Json) -> list[str]:
    found = []
    for key, value in wanted.items():
        other = default.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping) and other:
            found += _values(f"{path}.{key}", value, other)
        elif value != other and key not in SILENT:
            found.append(f"{path}.{key}={_text(value)}")
    return found


def _measured(own: Json) -> list[str]:
    """What asks for the stage itself where it is a time or an execution."""
    setting = own.get("measurement", own)
    if "executor" not in setting:
        return []
    found = {
        "executors": [setting["executor"]],
        "batch_sizes": [setting.get("batch", 1)],
        "threads": setting.get("threads", 1),
    }
    return [f"measurement.{key}={_text(value)}" for key, value in found.items()]


def _name(step: Json) -> str:
    return str(step["method"]).rpartition("/")[2]


def _text(value: Any) -> str:
    """Return a JSON value in the grammar of overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not value.replace("_", "a").replace("/", "a").isidentifier():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)
