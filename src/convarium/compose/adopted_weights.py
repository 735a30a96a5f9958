"""`architecture.weights=SIGNATURE`: a point that begins with adopted weights of the store in place of training.

The store knows of which network they are: where no architecture is typed, theirs is taken.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from convarium.compose.override_values import format_differing_values
from convarium.compose.store_access import open_store
from convarium.config import search_path
from convarium.config.messages import format_value
from convarium.config.option_file import read_option
from convarium.config.override import Override
from convarium.errors import UserError

Json = dict[str, Any]
SIGNATURE_KEY_ENDINGS = (".weights", ".signature")
NUMBER_LIKE_SIGNATURE = re.compile(r"(?<![\w'\"])\d[\de]*(?![\w'\"])")
WEIGHTS_KEY = "architecture.weights"
SIZE_KEYS = ("in_chans", "num_classes", "img_size")  # which are the dataset's where nothing is typed
SIZE_ADVICE = "they take other images or classes than dataset= has"
ARCHITECTURE_ADVICE = "leave architecture= out, the weights bring theirs"
MISSING_NAME = "???"  # of an option whose network is named by the user
NODE_FIELDS = ("stage", "version", "stage_config", "parents", "fingerprint", "name")


def quote_signatures(override: Override) -> Override:
    """Return an override with quotes around signatures that would be read as numbers (1234, 12e4)."""
    if not override.key.endswith(SIGNATURE_KEY_ENDINGS):
        return override
    value = NUMBER_LIKE_SIGNATURE.sub(r"'\g<0>'", override.value)
    return Override(f"{override.prefix}{override.key}={value}")


def find_adopted_signatures(overrides: Sequence[Override]) -> list[str]:
    """Return the signatures of adopted weights among overrides, each once."""
    values = [override.value.strip("'\"") for override in overrides if override.key == WEIGHTS_KEY]
    return [value for value in dict.fromkeys(values) if value not in ("null", "")]


def list_adopted_architecture(runtime: Json, signatures: Sequence[str]) -> list[Override]:
    """Return the overrides that choose the network of which adopted weights are.

    Args:
        runtime: tells the store that holds them.
        signatures: of the weights, or their beginnings.

    Raises:
        UserError: there are no such weights, they are of several networks, or of one that no option chooses any more.
    """
    root = open_store(runtime).root.resolve()
    records = [_read_adoption_record(root, signature) for signature in signatures]
    architectures = [record["stage_config"]["architecture"] for record in records]
    if any(architecture != architectures[0] for architecture in architectures):
        names = " and ".join(dict.fromkeys(str(architecture["name"]) for architecture in architectures))
        raise UserError(
            f"{WEIGHTS_KEY}={','.join(signatures)} are of several networks ({names}): give each its own command"
        )
    overrides = _format_architecture(architectures[0])
    if overrides is None:
        raise UserError(
            f"{WEIGHTS_KEY}={signatures[0]} was adopted for architecture.name={architectures[0]['name']}, which no"
            " option here has: add architecture="
        )
    return [Override(text) for text in overrides]


def _format_architecture(architecture: Json) -> list[str] | None:
    """Return the option of a network's name, and the values in which it differs from it; None without an option."""
    source, name = architecture["source"], architecture["name"]
    for option in _list_likely_options(source, name):
        file = search_path.find_config_file("conf", f"architecture/{option}")
        values = read_option(file) if file else {}
        if values.get("source") == source and values.get("name") in (name, MISSING_NAME):
            given_name = [f"architecture.name={name}"] if values["name"] == MISSING_NAME else []
            knobs = {key: value for key, value in architecture.items() if key not in (*SIZE_KEYS, "name")}
            return [f"architecture={option}", *given_name, *format_differing_values("architecture", knobs, values)]
    return None


def _list_likely_options(source: str, name: str) -> list[str]:
    """Return options that may choose a network: its library's, or those that are called as it is, before all others."""
    options = search_path.list_group_options("architecture")
    if source in options:
        return [source]
    return sorted(options, key=lambda option: option.rpartition("/")[2] != name)


def resolve_adopted_weights(config: Json) -> Json:
    """Return the config with the whole signature of its adopted weights, if it has any.

    Raises:
        UserError: no such weights are stored, or they are for another network than the config's.
    """
    architecture = config["architecture"]
    if "weights" not in architecture:
        return config
    record = _read_adoption_record(open_store(config["runtime"]).root.resolve(), architecture["weights"])
    for key, value in record["stage_config"]["architecture"].items():
        if value != architecture[key]:
            raise UserError(
                f"architecture.weights={record['signature']} was adopted for"
                f" architecture.{key}={format_value(value)}, not {format_value(architecture[key])}:"
                f" {SIZE_ADVICE if key in SIZE_KEYS else ARCHITECTURE_ADVICE}"
            )
    return {**config, "architecture": {**architecture, "weights": record["signature"]}}


def read_adoption_stages(config: Json) -> tuple[Json, ...]:
    """Return the stage that adopted a resolved config's weights, as fields of a node."""
    root = open_store(config["runtime"]).root.resolve()
    record = _read_adoption_record(root, config["architecture"]["weights"])
    return ({key: record[key] for key in NODE_FIELDS},)


# Each point of a sweep asks for the same few records.
@lru_cache(maxsize=256)
def _read_adoption_record(root: Path, prefix: str) -> Json:
    from convarium.store.store import Store

    store = Store(root)
    try:
        signature = store.resolve_signature(prefix)
    except UserError as error:
        raise UserError(f"architecture.weights={prefix}: {error}; `convarium adopt` makes weights") from None
    record = store.find_record(signature)
    if record is None or record["stage"] != "adopt":
        state = "is not done" if record is None else f"is of stage {record['stage']}"
        advice = f"convarium export {signature} -o net.cvm, then convarium adopt net.cvm"
        raise UserError(f"architecture.weights={signature} {state}, no adopted weights; to adopt a network: {advice}")
    return record
