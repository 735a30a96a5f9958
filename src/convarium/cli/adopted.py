"""`architecture.weights`: a point that begins with adopted weights, found in the store, in place of training."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from convarium.cli.stored import store_of
from convarium.config.words import shown
from convarium.errors import UserError

Json = dict[str, Any]
SIGNATURES = (".weights", ".signature")
NUMBER = re.compile(r"(?<![\w'\"])\d[\de]*(?![\w'\"])")
FIELDS = ("stage", "version", "stage_config", "parents", "fingerprint", "name")


def quoted(text: str) -> str:
    """Return an override with quotes around signatures that would be read as numbers (1234, 12e4)."""
    key, equals, value = text.partition("=")
    return key + equals + NUMBER.sub(lambda found: f"'{found[0]}'", value) if key.endswith(SIGNATURES) else text


def resolved(config: Json) -> Json:
    """Return the config with the whole signature of its adopted weights, if it has any.

    Raises:
        UserError: no such weights are stored, or they are for another network than the config's.
    """
    architecture = config["architecture"]
    if "weights" not in architecture:
        return config
    done = _done(store_of(config["runtime"]).root.resolve(), architecture["weights"])
    where, adopted = f"architecture.weights={done['signature']}", done["stage_config"]["architecture"]
    for key in adopted:
        if adopted[key] != architecture[key]:
            raise UserError(
                f"{where} was adopted for architecture.{key}={shown(adopted[key])}, not {shown(architecture[key])}"
            )
    return {**config, "architecture": {**architecture, "weights": done["signature"]}}


def chain(config: Json) -> tuple[Json, ...]:
    """Return the stage that adopted a resolved config's weights, as fields of a node."""
    done = _done(store_of(config["runtime"]).root.resolve(), config["architecture"]["weights"])
    return ({key: done[key] for key in FIELDS},)


@lru_cache(maxsize=256)
def _done(root: Path, prefix: str) -> Json:
    from convarium.store.store import Store

    store = Store(root)
    try:
        signature = store.resolve(prefix)
    except UserError as error:
        raise UserError(f"architecture.weights={prefix}: {error}; `convarium adopt` makes weights") from None
    done = store.done(signature)
    if done is None or done["stage"] != "adopt":
        what = "is not done" if done is None else f"is of stage {done['stage']}"
        advice = f"convarium export {signature} -o net.cvm, then convarium adopt net.cvm"
        raise UserError(f"architecture.weights={signature} {what}, no adopted weights; to adopt a network: {advice}")
    return done
