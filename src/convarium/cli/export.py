"""`convarium export SIG`: a stored network as a file of its own, for convarium or for others."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.stored_network import StoredNetwork

FORMAT_HELP = {
    "cvm": "the file that was measured, byte for byte",
    "onnx": "float32",
    "onnx_int8": "8-bit integers, calibrated on validation images",
    "safetensors": "the state dict",
    "torch_export": "a program of torch.export (.pt2)",
}
FORMATS_BY_SUFFIX = {
    ".cvm": ("cvm",),
    ".onnx": ("onnx", "onnx_int8"),
    ".safetensors": ("safetensors",),
    ".pt2": ("torch_export",),
}
DESCRIPTION = """Write a stored network to a file, and test at once that it says what the stored one says.

  convarium export 3fa2 -o net.onnx [--format onnx_int8] [dataset.root=FOLDER] [runtime.store=FOLDER]

exit code: 0 written (onnx_int8 also where the row says no), 1 a float32 file that differs, 2 a mistake, nothing written
"""


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("export", DESCRIPTION)
    formats = "; ".join(f"{name}: {text}" for name, text in FORMAT_HELP.items())
    parser.add_argument("--format", choices=list(FORMAT_HELP), help=f"{formats}; else by FILE's suffix")
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE", help="where to write it")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Write the network at a signature (of the stage that made, measured or timed it) to a file."""
    options, prefix = build_parser().parse_with_word("signature", argv)
    from convarium.cli import output, parity_report

    with output.redirect_to_stderr():
        config = parity_report.compose_locations(options.overrides, "export")
        format_name = _select_format(options.format, options.output)
        report = _export_network(prefix, format_name, options.output, config)
    if options.json:
        output.print_json(report)
    else:
        parity_report.print_parity(report)
    # A .cvm is not compared, and 8-bit integers are another network, whose row says how it differs.
    is_judged = format_name not in ("cvm", "onnx_int8")
    return 1 if is_judged and not report["parity"]["parity"] else 0


def _select_format(typed: str | None, target: Path) -> str:
    """Return the format that is typed, else that of the file's suffix.

    Raises:
        UserError: the suffix is that of another format than the typed one, or of no format where none is typed.
    """
    formats = FORMATS_BY_SUFFIX.get(target.suffix.lower(), ())
    if typed and formats and typed not in formats:
        right = " or ".join(formats)
        raise UserError(f"--format {typed} -o {target}: {target.suffix} is the suffix of --format {right}")
    if not typed and not formats:
        suffixes = ", ".join(f"{suffix} ({' or '.join(names)})" for suffix, names in FORMATS_BY_SUFFIX.items())
        reason = f"{target.suffix} is the suffix of no format" if target.suffix else "no suffix says no format"
        raise UserError(f"-o {target}: {reason}; export writes {suffixes}; or add --format")
    return typed or formats[0]


def _export_network(prefix: str, format_name: str, target: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Write a draft of the file, compare it, and move it into place; a `.cvm` is a copy of the stored bytes."""
    from convarium.cli.parity_report import compare_in_fresh_process, describe_file, find_network_images
    from convarium.compose.store_access import open_store
    from convarium.portable.atomic_file import write_atomically
    from convarium.portable.stored_network import resolve_stored_network
    from convarium.store import disk

    store = open_store(config["runtime"])
    network = resolve_stored_network(store, prefix)
    comparison = None
    with write_atomically(target) as path:
        if format_name == "cvm":
            path.write_bytes(_read_valid_cvm(network))
        else:
            from convarium.portable.write_export import write_export

            dataset, root = find_network_images(store, network.signature, config)
            write_export(format_name, network, dataset, root, disk.cache_folder_of(store.root), path)
            comparison = compare_in_fresh_process(path, network, store, config)
    return describe_file(target, format_name, network, comparison)


def _read_valid_cvm(network: "StoredNetwork") -> bytes:
    """Return the bytes of a network's file.

    Raises:
        UserError: the file is damaged.
    """
    from convarium.cvm.header import unpack_file
    from convarium.lookup import allow_packages

    content = network.path.read_bytes()
    try:
        with allow_packages(network.allowed_packages):
            unpack_file(memoryview(content))
    except UserError as error:
        raise UserError(f"{network.path} is not a valid .cvm file: {error}") from None
    return content
