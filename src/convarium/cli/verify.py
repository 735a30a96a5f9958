"""`convarium verify FILE`: does a file say what the stored network says?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments, is_override
from convarium.config.paths import path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.origin import Origin
    from convarium.store.store import Store

DESCRIPTION = """Load a file as a server would (onnxruntime, torch.export, safetensors, convarium.load) in a fresh
process, and compare it on real images with the stored network that it names, or that is named here.

  convarium verify net.onnx [SIGNATURE] [dataset.root=FOLDER] [runtime.store=FOLDER]

exit code: 0 parity, 1 no parity, 2 a file that is damaged or not ours, and other mistakes
"""


def main(argv: Sequence[str]) -> int:
    """Compare a file of any format with the stored network."""
    parser = Arguments("verify", DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_intermixed_args(argv)
    path, prefix, overrides = _sorted(options.overrides)
    from convarium.cli import output, parity

    with output.aside():
        found = _checked(path, prefix, parity.given(overrides, "verify"))
    if options.json:
        output.document(found)
    else:
        parity.show(found)
    return 0 if found["parity"]["parity"] else 1


def _sorted(texts: Sequence[str]) -> tuple[Path, str | None, list[str]]:
    """Split what was typed into a file, perhaps a signature, and overrides."""
    words = [text for text in texts if not is_override(text)]
    if not 1 <= len(words) <= 2:
        raise UserError("convarium verify: which file? usage: convarium verify FILE [SIGNATURE] [key=value]")
    return path(words[0]), words[1] if len(words) == 2 else None, [text for text in texts if is_override(text)]


def _checked(path: Path, prefix: str | None, config: dict[str, Any]) -> dict[str, Any]:
    from convarium.cli.parity import compared, described
    from convarium.cli.stored import store_of
    from convarium.portable import content

    store, kind = store_of(config["runtime"]), content.kind(path)
    form = "onnx_int8" if content.is_rounded(path) else kind
    origin = _original(store, path, kind, prefix)
    judged = compared(path, origin, store, config)
    return described(path, form, origin, judged)


def _original(store: "Store", path: Path, kind: str, prefix: str | None) -> "Origin":
    """Return the stored network that is named, or that the file names, or whose bytes it has."""
    from convarium.portable import card, content, origin

    if prefix is not None:
        return origin.find(store, prefix)
    if kind == content.CVM:
        return origin.of_bytes(store, path)
    return origin.find(store, card.read(content.texts(path), str(path)).signature)
