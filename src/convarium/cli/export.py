"""`convarium export SIG`: a stored network as a file of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convarium.cli.arguments import Arguments
from convarium.errors import UserError
from convarium.names import allowing, packages

if TYPE_CHECKING:
    from convarium.store.store import Store


def main(argv: Sequence[str]) -> int:
    """Copy the network at a signature (of a train, compress or measure result) to a file."""
    parser = Arguments("export", "Write a stored network to a file; convarium.load(FILE) reads it.")
    parser.add_argument("--format", choices=["cvm"], default="cvm", help="cvm: the file that was measured")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where to write it")
    options, prefix = parser.read_with("signature", argv)
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    signature = store.resolve(prefix)
    done = store.done(signature)
    if done is None:
        raise UserError(f"{signature} is not done, there is no network to export")
    owner = signature if done["stage"] not in ("measure", "time") else done["parents"][0]
    folder = store.path(owner)
    network = folder and folder / "network.cvm"
    if network is None or not network.is_file():
        raise UserError(f"{signature} has no network.cvm in {folder}")
    with allowing(_named(store, signature)):
        options.output.write_bytes(_sound(network))
    print(options.output)
    return 0


def _named(store: "Store", signature: str) -> set[str]:
    """Return the outside packages that a result, or what it was made from, names."""
    done = store.done(signature)
    return packages(done["own"]).union(*(_named(store, parent) for parent in done["parents"])) if done else set()


def _sound(network: Path) -> bytes:
    """Return the bytes of a network file whose digest is right."""
    from convarium.compression.file.header import unwrap

    data = network.read_bytes()
    try:
        unwrap(memoryview(data))
    except UserError as error:
        raise UserError(f"{network} is no valid .cvm file: {error}") from None
    return data
