"""What filter pruning, shared weights and two thin layers for one make of every network that has a file.

usage: python benchmarks/compressible.py [NAME ...] > docs/results/compressible.md

Each network (random weights, ten classes, the smallest usual images that it takes) goes through each method as in a
run, without retraining; the file is read and built anew, and its logits compared bit for bit.
"""

import sys
import warnings
from typing import Any

import torch

from convarium.architectures import factory
from convarium.conformance.compression_trial import TRIED_METHODS, CompressionTrial, try_compression
from convarium.conformance.small_architectures import describe_small_form, find_architecture_files
from convarium.errors import UserError

MOST = 13_000_000
HEAD = f"""# What can be compressed by what

Made by `.venv/bin/python benchmarks/compressible.py > docs/results/compressible.md`. Every network that has a file,
with random weights, ten classes and the smallest usual images that it takes (side), is put through three methods
without retraining: half of the filters cut (`pruning/filter_l1`), 32 shared values a layer (`quantization/kmeans`,
one iteration), a quarter of the rank (`decomposition/svd`). The table lists bytes of the file and the
multiply-accumulates that are left, or the line by which the method is refused. Each file was read and built anew, and
gave the logits of what was written bit for bit. Networks of more than {MOST / 1e6:.0f} million parameters were not
tried. What a method does to accuracy is not shown here.

| network | side | parameters | filter_l1: bytes, MACs | kmeans: bytes | svd: bytes, MACs |
|---|---|---|---|---|---|"""


def row(option: str) -> str:
    """Try one network and return its line of the table."""
    try:
        described = factory.condense_architecture(describe_small_form(option))
    except UserError as error:
        return f"| {option} | | | no classifier of small images: {error} | | |"
    count = parameters(described)
    start = f"| {option} | {described['img_size']} | {count:,} |"
    if count > MOST:
        return f"{start} not tried: {count:,} parameters | not tried | not tried |"
    return f"{start} {' | '.join(cell(try_compression(described, method), method) for method in TRIED_METHODS)} |"


def parameters(described: dict[str, Any]) -> int:
    """Count them without memory."""
    return sum(parameter.numel() for parameter in factory.build_architecture(described, "meta").parameters())


def cell(found: CompressionTrial, method: str) -> str:
    """Say what is left of bytes and MACs, in per cent."""
    if found.refusal is not None:
        return f"refused: {found.refusal}"
    if not found.decodes_exactly:
        return "NO: the file is another network"
    sizes = (
        f"{found.bytes_share:.0%}"
        if method == "quantization/kmeans"
        else f"{found.bytes_share:.0%}, {found.macs_share:.0%}"
    )
    return sizes if found.bytes_share < 1 else f"NO: {sizes}"


def main(names: list[str]) -> None:
    """Print the page."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(HEAD, flush=True)
    rows = []
    for name in names:
        rows.append(row(name))
        print(rows[-1], flush=True)
    cells = [text for line in rows for text in line.split(" | ")[3:]]
    done, refused = sum("%" in text for text in cells), sum(text.startswith("refused") for text in cells)
    print(f"\n{done} pairs of a network and a method work, {refused} are refused in one line.")


if __name__ == "__main__":
    main(sys.argv[1:] or list(find_architecture_files()))
