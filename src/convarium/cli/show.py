"""`convarium show SIG`: what is stored at a signature."""

from collections.abc import Sequence
from typing import Any

from convarium.cli.arguments import Arguments


def main(argv: Sequence[str]) -> int:
    """Print what a stage made at a signature, from what, where and how fast."""
    parser = Arguments("show", "Print what is stored at a signature (any unique prefix).")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, signature = parser.read_with("signature", argv)
    from convarium.cli import output
    from convarium.cli.classes import by_class, told
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    found = stored(store, store.resolve(signature))
    classes = by_class(found, store)
    if options.json:
        output.document({**found, "classes": classes} if classes else found)
        return 0
    import yaml

    for key in ("correct", "per_class"):
        found.get("result", {}).pop(key, None)
    shown = {**found, "accuracy_by_class": told(classes)} if classes else found
    print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120), end="")
    return 0


def stored(store: Any, signature: str) -> dict[str, Any]:
    """Return the done.json or failed.json of a signature, and its folder."""
    found = store.done(signature) or {"signature": signature, "failed": store.failed(signature)}
    return {**found, "path": str(store.path(signature))}
