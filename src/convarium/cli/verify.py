"""`convarium verify FILE`: does a file say what the stored network says?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser, is_override, parse_overrides
from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.stored_network import StoredNetwork
    from convarium.store.store import Store

DESCRIPTION = """Load a file as a server would (onnxruntime, torch.export, safetensors, convarium.load) in a fresh
process, and compare it on real images with the stored network that it names, or that is named here.

  convarium verify net.onnx [SIGNATURE] [dataset.root=FOLDER] [runtime.store=FOLDER]

exit code: 0 parity, 1 no parity, 2 a file that is damaged or not ours, and other mistakes
"""


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("verify", DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Compare a file of any format with the stored network."""
    options = build_parser().parse_intermixed_args(argv)
    path, prefix, overrides = _split_words(options.overrides)
    from convarium.cli import output, parity_report

    with output.redirect_to_stderr():
        found = _verify_file(path, prefix, parity_report.compose_locations(overrides, "verify"))
    if options.json:
        output.print_json(found)
    else:
        parity_report.print_parity(found)
    return 0 if found["parity"]["parity"] else 1


def _split_words(texts: Sequence[str]) -> tuple[Path, str | None, list[Override]]:
    """Split what was typed into a file, perhaps a signature, and overrides."""
    overrides = [text for text in texts if is_override(text)]
    words = [text for text in texts if text not in overrides]
    if not 1 <= len(words) <= 2:
        raise UserError("convarium verify: which file? usage: convarium verify FILE [SIGNATURE] [key=value]")
    return parse_path(words[0]), words[1] if len(words) == 2 else None, parse_overrides(overrides)


def _verify_file(path: Path, prefix: str | None, config: dict[str, Any]) -> dict[str, Any]:
    from convarium.cli.parity_report import compare_in_fresh_process, describe_file
    from convarium.compose.store_access import open_store
    from convarium.portable import file_format

    store, kind = open_store(config["runtime"]), file_format.detect_format(path)
    form = "onnx_int8" if file_format.is_quantized(path) else kind
    origin = _find_original(store, path, kind, prefix)
    judged = compare_in_fresh_process(path, origin, store, config)
    return describe_file(path, form, origin, judged)


def _find_original(store: "Store", path: Path, kind: str, prefix: str | None) -> "StoredNetwork":
    """Return the stored network that is named, or that the file names, or whose bytes it has."""
    from convarium.portable import file_format, model_card, stored_network

    if prefix is not None:
        return stored_network.resolve_stored_network(store, prefix)
    if kind == file_format.CVM:
        return stored_network.match_stored_network(store, path)
    return stored_network.resolve_stored_network(
        store, model_card.parse_model_card(file_format.read_metadata(path), str(path)).signature
    )
