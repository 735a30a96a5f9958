"""`architecture.weights=SIGNATURE`: a point that begins with adopted weights of the store in place of training."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from convarium.compose.store_access import open_store
from convarium.config.messages import format_value
from convarium.config.override import Override
from convarium.errors import UserError

Json = dict[str, Any]
SIGNATURE_KEY_ENDINGS = (".weights", ".signature")
NUMBER_LIKE_SIGNATURE = re.compile(r"(?<![\w'\"])\d[\de]*(?![\w'\"])")
NODE_FIELDS = ("stage", "version", "stage_config", "parents", "fingerprint", "name")


def quote_signatures(override: Override) -> Override:
    """Return an override with quotes around signatures that would be read as numbers (1234, 12e4)."""
    if not override.key.endswith(SIGNATURE_KEY_ENDINGS):
        return override
    value = NUMBER_LIKE_SIGNATURE.sub(r"'\g<0>'", override.value)
    return Override(f"{override.prefix}{override.key}={value}")


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
                f" architecture.{key}={format_value(value)}, not {format_value(architecture[key])}"
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
