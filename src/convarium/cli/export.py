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
        form = _select_format(options.format, options.output)
        found = _export_network(prefix, form, options.output, config)
    if options.json:
        output.print_json(found)
    else:
        parity_report.print_parity(found)
    return 0 if form in ("cvm", "onnx_int8") or found["parity"]["parity"] else 1


def _select_format(typed: str | None, target: Path) -> str:
    """Return the format that is typed, else that of the file's suffix.

    Raises:
        UserError: the suffix is that of another format than the typed one, or of none where none is typed.
    """
    of_suffix = FORMATS_BY_SUFFIX.get(target.suffix.lower(), ())
    if typed and of_suffix and typed not in of_suffix:
        right = " or ".join(of_suffix)
        raise UserError(f"--format {typed} -o {target}: {target.suffix} is the suffix of --format {right}")
    if not typed and not of_suffix:
        known = ", ".join(f"{suffix} ({' or '.join(forms)})" for suffix, forms in FORMATS_BY_SUFFIX.items())
        told = f"{target.suffix} is the suffix of no format" if target.suffix else "no suffix says no format"
        raise UserError(f"-o {target}: {told}; export writes {known}; or add --format")
    return typed or of_suffix[0]


def _export_network(prefix: str, format_name: str, target: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Write the file aside, compare it, and move it into place; a `.cvm` is the stored bytes, whose digest is right."""
    from convarium.cli.parity_report import compare_in_fresh_process, describe_file, find_network_images
    from convarium.compose.store_access import open_store
    from convarium.portable.atomic_file import write_atomically
    from convarium.portable.stored_network import resolve_stored_network
    from convarium.store import disk

    store = open_store(config["runtime"])
    origin = resolve_stored_network(store, prefix)
    judged = None
    with write_atomically(target) as path:
        if format_name == "cvm":
            path.write_bytes(_read_valid_cvm(origin))
        else:
            from convarium.portable.write_export import write_export

            data, root = find_network_images(store, origin.signature, config)
            write_export(format_name, origin, data, root, disk.cache_folder_of(store.root), path)
            judged = compare_in_fresh_process(path, origin, store, config)
    return describe_file(target, format_name, origin, judged)


def _read_valid_cvm(origin: "StoredNetwork") -> bytes:
    """Return the bytes of a network file whose digest is right."""
    from convarium.cvm.header import unpack_file
    from convarium.lookup import allow_packages

    data = origin.path.read_bytes()
    try:
        with allow_packages(origin.allowed_packages):
            unpack_file(memoryview(data))
    except UserError as error:
        raise UserError(f"{origin.path} is not a valid .cvm file: {error}") from None
    return data
