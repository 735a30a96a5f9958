"""`convarium export SIG`: a stored network as a file of its own, for convarium or for others."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.config.paths import path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.origin import Origin

FORMATS = {
    "cvm": "the file that was measured, byte for byte",
    "onnx": "float32",
    "onnx_int8": "8-bit integers, calibrated on validation images",
    "safetensors": "the state dict",
    "torch_export": "a program of torch.export (.pt2)",
}
SUFFIXES = {
    ".cvm": ("cvm",),
    ".onnx": ("onnx", "onnx_int8"),
    ".safetensors": ("safetensors",),
    ".pt2": ("torch_export",),
}
DESCRIPTION = """Write a stored network to a file, and test at once that it says what the stored one says.

  convarium export 3fa2 -o net.onnx [--format onnx_int8] [dataset.root=FOLDER] [runtime.store=FOLDER]

exit code: 0 written (onnx_int8 also where the row says no), 1 a float32 file that differs, 2 a mistake, nothing written
"""


def main(argv: Sequence[str]) -> int:
    """Write the network at a signature (of the stage that made, measured or timed it) to a file."""
    parser = Arguments("export", DESCRIPTION)
    formats = "; ".join(f"{name}: {text}" for name, text in FORMATS.items())
    parser.add_argument("--format", choices=list(FORMATS), help=f"{formats}; else by FILE's suffix")
    parser.add_argument("-o", "--output", type=path, required=True, metavar="FILE", help="where to write it")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, prefix = parser.read_with("signature", argv)
    from convarium.cli import output, parity

    with output.aside():
        config = parity.given(options.overrides, "export")
        form = _format(options.format, options.output)
        found = _exported(prefix, form, options.output, config)
    if options.json:
        output.document(found)
    else:
        parity.show(found)
    return 0 if form in ("cvm", "onnx_int8") or found["parity"]["parity"] else 1


def _format(typed: str | None, target: Path) -> str:
    """Return the format that is typed, else that of the file's suffix.

    Raises:
        UserError: the suffix is that of another format than the typed one, or of none where none is typed.
    """
    of_suffix = SUFFIXES.get(target.suffix.lower(), ())
    if typed and of_suffix and typed not in of_suffix:
        right = " or ".join(of_suffix)
        raise UserError(f"--format {typed} -o {target}: {target.suffix} is the suffix of --format {right}")
    if not typed and not of_suffix:
        known = ", ".join(f"{suffix} ({' or '.join(forms)})" for suffix, forms in SUFFIXES.items())
        told = f"{target.suffix} is the suffix of no format" if target.suffix else "no suffix says no format"
        raise UserError(f"-o {target}: {told}; export writes {known}; or add --format")
    return typed or of_suffix[0]


def _exported(prefix: str, form: str, target: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Write the file aside, compare it, and move it into place; a `.cvm` is the stored bytes, whose digest is right."""
    from convarium.cli.parity import compared, described, images_of
    from convarium.cli.stored import store_of
    from convarium.portable.beside import beside
    from convarium.portable.origin import find
    from convarium.store import disk

    store = store_of(config["runtime"])
    origin = find(store, prefix)
    judged = None
    with beside(target) as path:
        if form == "cvm":
            path.write_bytes(_sound(origin))
        else:
            from convarium.portable.writing import write

            data, root = images_of(store, origin.signature, config)
            write(form, origin, data, root, disk.beside(store.root), path)
            judged = compared(path, origin, store, config)
    return described(target, form, origin, judged)


def _sound(origin: "Origin") -> bytes:
    """Return the bytes of a network file whose digest is right."""
    from convarium.compression.file.header import unwrap
    from convarium.names import allowing

    data = origin.path.read_bytes()
    try:
        with allowing(origin.allow):
            unwrap(memoryview(data))
    except UserError as error:
        raise UserError(f"{origin.path} is not a valid .cvm file: {error}") from None
    return data
