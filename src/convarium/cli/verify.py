"""`convarium verify FILE`: whether a file gives the same answers as the stored network."""

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
        report = _verify_file(path, prefix, parity_report.compose_locations(overrides, "verify"))
    if options.json:
        output.print_json(report)
    else:
        parity_report.print_parity(report)
    return 0 if report["parity"]["parity"] else 1


def _split_words(texts: Sequence[str]) -> tuple[Path, str | None, list[Override]]:
    """Split what was typed into a file, a signature if there is one, and overrides."""
    overrides = [text for text in texts if is_override(text)]
    positionals = [text for text in texts if text not in overrides]
    if not 1 <= len(positionals) <= 2:
        raise UserError("convarium verify: which file? usage: convarium verify FILE [SIGNATURE] [key=value]")
    file, prefix = [*positionals, None][:2]
    assert file is not None
    return parse_path(file), prefix, parse_overrides(overrides)


def _verify_file(path: Path, prefix: str | None, config: dict[str, Any]) -> dict[str, Any]:
    from convarium.cli.parity_report import compare_in_fresh_process, describe_file
    from convarium.compose.store_access import open_store
    from convarium.portable import file_format

    store = open_store(config["runtime"])
    file_kind = file_format.detect_format(path)
    network = _find_stored_network(store, path, file_kind, prefix)
    comparison = compare_in_fresh_process(path, network, store, config)
    format_name = "onnx_int8" if file_format.is_quantized(path) else file_kind
    return describe_file(path, format_name, network, comparison)


def _find_stored_network(store: "Store", path: Path, file_kind: str, prefix: str | None) -> "StoredNetwork":
    """Return the stored network of a typed signature, else of the file's model card, else of the same bytes."""
    from convarium.portable import file_format, model_card, stored_network

    if prefix is not None:
        return stored_network.resolve_stored_network(store, prefix)
    if file_kind == file_format.CVM:  # has no model card
        return stored_network.match_stored_network(store, path)
    return stored_network.resolve_stored_network(
        store, model_card.parse_model_card(file_format.read_metadata(path), str(path)).signature
    )
