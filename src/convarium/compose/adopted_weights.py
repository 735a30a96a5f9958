"""`architecture.weights`: a point that begins with adopted weights, found in the store, in place of training."""

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
    done = _read_adoption_record(open_store(config["runtime"]).root.resolve(), architecture["weights"])
    where, adopted = f"architecture.weights={done['signature']}", done["stage_config"]["architecture"]
    for key in adopted:
        if adopted[key] != architecture[key]:
            raise UserError(
                f"{where} was adopted for architecture.{key}={format_value(adopted[key])}, not"
                f" {format_value(architecture[key])}"
            )
    return {**config, "architecture": {**architecture, "weights": done["signature"]}}


def read_adoption_stages(config: Json) -> tuple[Json, ...]:
    """Return the stage that adopted a resolved config's weights, as fields of a node."""
    done = _read_adoption_record(open_store(config["runtime"]).root.resolve(), config["architecture"]["weights"])
    return ({key: done[key] for key in NODE_FIELDS},)


@lru_cache(maxsize=256)
def _read_adoption_record(root: Path, prefix: str) -> Json:
    from convarium.store.store import Store

    store = Store(root)
    try:
        signature = store.resolve_signature(prefix)
    except UserError as error:
        raise UserError(f"architecture.weights={prefix}: {error}; `convarium adopt` makes weights") from None
    done = store.find_record(signature)
    if done is None or done["stage"] != "adopt":
        what = "is not done" if done is None else f"is of stage {done['stage']}"
        advice = f"convarium export {signature} -o net.cvm, then convarium adopt net.cvm"
        raise UserError(f"architecture.weights={signature} {what}, no adopted weights; to adopt a network: {advice}")
    return done
