"""Bytes and seconds of the coders on the same whole numbers, those of really trained networks.

    python benchmarks/coder.py [--fast] [--root data] [--seeds 0 1 2] [--json FILE] [--output docs/results/coder.md]

LeNet-300-100 is trained on MNIST (`--fast`: 3,500 images), pruned step by step by global magnitude with retraining, and
quantised. *k-means 64*: 64 shared values a layer. *grid L*: whole numbers -L..L times a scale, no kept weight 0, after
training; *trained L*: trained straight-through. Ours write positions and numbers as a file does; the ISO coder (`make
nncodec`) gets the signed whole numbers, for shared values their ranks from 0 on, with the best of three unary lengths.
Every round trip is asserted to be exact. Seconds are of processor time, per million weights, pruned ones counted.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from coding.integers import Row, load, rows, save
from convarium.coding import kernel_backend
from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.compression.external_coders import nncodec
from convarium.datasets.loading import load_splits

Json = dict[str, Any]
OURS = ("huffman", "xz", "arithmetic")
ISO, COMPILED = "ISO", "arithmetic, numba"
UNARY_LENGTHS = (10, 16, 32)
EPOCHS, FAST_EPOCHS = (8, 2), (20, 6)  # dense, then after each pruning and of each trained grid
CONF = Path(__file__).parents[1] / "conf/dataset"
PAGE = """# Coders on the same whole numbers

Made by `.venv/bin/python benchmarks/coder.py {command}`: LeNet-300-100, weights
only, means over the seeds. How the whole numbers are made, and what each coder is given, stands in the script's head.
Validation accuracy says that the networks work; the recipes are not tuned for it. An ISO stream of these shapes that
holds zeros alone takes {headers} bytes, hardly more than names, shapes and headers, which a file of ours holds
elsewhere: the last column of the first table is without them.

{tables}
"""


@dataclass(frozen=True)
class Figure:
    """What one coder took for the layers of one network."""

    bytes: int
    encode_seconds: float
    decode_seconds: float


def ours(made: Sequence[Row]) -> dict[str, list[Figure]]:
    """Code each layer as a file codes it, by every coder; with numba and without where there is a choice."""
    figures = {coder: _timed(made, coder, sys.maxsize) for coder in OURS}
    if find_spec("numba"):
        figures[COMPILED] = _timed(made, "arithmetic", 0)
    return figures


def _timed(made: Sequence[Row], coder: str, compiled_from: int) -> list[Figure]:
    with patch.object(kernel_backend, "MIN_COMPILED_VALUES", compiled_from):
        _figure(made[0], coder)  # what is done once (imports, compiling) is not measured
        return [_figure(row, coder) for row in made]


def _figure(row: Row, coder: str) -> Figure:
    found = [_layer(layer, row, coder) for layer in row.layers]
    return Figure(sum(size for size, _, _ in found), sum(s for _, s, _ in found), sum(s for _, _, s in found))


def _layer(layer: NDArray[np.int32], row: Row, coder: str) -> tuple[int, float, float]:
    flat = torch.from_numpy(layer.ravel())
    positions = flat.nonzero()[:, 0]
    kept, shared = flat[positions], row.kind == "k-means"
    ids = kept - kept.min() - (kept > 0).int()
    writer, began = SiteWriter(coder), time.process_time()
    writer.write_positions("indices", positions, layer.shape)
    if shared:
        writer.write_symbols("weights", ids, row.size)
    else:
        writer.write_integers("weights", kept, row.size, zeros=False)
    coded = time.process_time()
    reader = SiteReader(memoryview(writer.data), coder)
    found = [reader.read_positions("indices", len(kept), layer.shape)]
    found += [reader.read_symbols("weights", len(kept), row.size)] if shared else []
    found += [reader.read_integers("weights", kept.shape, row.size, zeros=False)] if not shared else []
    done = time.process_time()
    assert torch.equal(found[0], positions)
    assert torch.equal(found[1], ids if shared else kept)
    return len(writer.data), coded - began, done - coded


def iso(made: Sequence[Row]) -> list[Figure]:
    """Code the layers of a row as one stream, with each of the unary lengths; the fewest bytes count."""
    settings = [{"cabac_unary_length_minus1": length} for length in UNARY_LENGTHS]
    requests = [nncodec.CodingRequest(_named(row.layers), setting) for row in made for setting in settings]
    coded = nncodec.encode_and_decode(requests)
    for request, found in zip(requests, coded, strict=True):
        assert all(np.array_equal(found.arrays[name], array) for name, array in request.arrays.items())
    tried = [coded[start : start + len(settings)] for start in range(0, len(coded), len(settings))]
    best = [min(streams, key=lambda found: len(found.stream)) for streams in tried]
    return [Figure(len(found.stream), found.encode_seconds, found.decode_seconds) for found in best]


def _named(layers: Iterable[NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
    return {str(index): layer for index, layer in enumerate(layers)}


def envelope(row: Row) -> int:
    """Bytes of the ISO coder's stream when all numbers are 0: little more than names, shapes and headers."""
    return iso([replace(row, layers=tuple(map(np.zeros_like, row.layers)))])[0].bytes


def measured(seed: int, options: argparse.Namespace) -> list[Json]:
    """Make the whole numbers of a seed, and code them with every coder."""
    made = _made(seed, options)
    figures, headers = ours(made), 0
    if nncodec.find_interpreter():
        figures[ISO], headers = iso(made), envelope(made[0])
    return [
        {
            "seed": seed, "kind": row.kind, "size": row.size, "pruned": row.pruned, "accuracy": row.accuracy,
            "nonzeros": sum(int((layer != 0).sum()) for layer in row.layers),
            "weights": sum(layer.size for layer in row.layers),
            "headers": headers, "coders": {coder: asdict(found[index]) for coder, found in figures.items()},
        }
        for index, row in enumerate(made)
    ]  # fmt: skip


def _made(seed: int, options: argparse.Namespace) -> list[Row]:
    """Train, or take what an earlier call has kept."""
    path = options.keep / f"{'fast-' * options.fast}{seed}.npz" if options.keep else None
    if path and path.exists():
        return load(path)
    splits = load_splits(_dataset("mnist5k" if options.fast else "mnist"), options.root, ("train", "validation"))
    made = list(rows(splits, seed, *(FAST_EPOCHS if options.fast else EPOCHS)))
    if path:
        save(path, made)
    return made


def _dataset(name: str) -> Json:
    return cast(Json, OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml")))


def bytes_table(found: Sequence[Json]) -> Iterator[str]:
    """Yield a line for each kind of whole numbers and share of pruned weights: means over the seeds."""
    coders = [coder for coder in found[0]["coders"] if coder != COMPILED]
    others = [coder for coder in coders if coder != ISO and ISO in coders]
    yield f"| numbers | pruned % | nonzeros | validation % | {' | '.join(coders + [f'{c} / ISO' for c in others])} |"
    yield "|---" * (4 + len(coders) + len(others)) + "|"
    for kind, size, pruned in sorted({_key(row) for row in found}):
        same = [row for row in found if _key(row) == (kind, size, pruned)]
        taken = {coder: mean(row["coders"][coder]["bytes"] for row in same) for coder in coders}
        cells = [f"{taken[coder]:,.0f}" for coder in coders] + [f"{taken[coder] / taken[ISO]:.3f}" for coder in others]
        what = f"{mean(row['nonzeros'] for row in same):,.0f} | {100 * mean(row['accuracy'] for row in same):.1f}"
        yield f"| {kind} {size} | {100 * pruned:g} | {what} | {' | '.join(cells)} |"


def _key(row: Json) -> tuple[str, int, float]:
    return row["kind"], row["size"], row["pruned"]


def ratios_table(found: Sequence[Json]) -> Iterator[str]:
    """Yield a line for each kind of whole numbers: bytes of the arithmetic coder over the ISO coder's."""
    yield "| numbers | arithmetic / ISO: mean, highest | arithmetic / ISO less its headers |"
    yield "|---|---|---|"
    for kind in sorted({row["kind"] for row in found}):
        same = [(row["coders"]["arithmetic"]["bytes"], row) for row in found if row["kind"] == kind]
        cells = []
        for less in (0, 1):
            ratios = [own / (row["coders"][ISO]["bytes"] - less * row["headers"]) for own, row in same]
            cells.append(f"{mean(ratios):.3f}, {max(ratios):.3f}")
        yield f"| {kind} | {' | '.join(cells)} |"


def seconds_table(found: Sequence[Json]) -> Iterator[str]:
    """Yield a line for each coder."""
    yield "| coder | encode, processor s per million weights: mean, highest | decode |"
    yield "|---|---|---|"
    for coder in found[0]["coders"]:
        cells = []
        for way in ("encode_seconds", "decode_seconds"):
            seconds = [1e6 * row["coders"][coder][way] / row["weights"] for row in found]
            cells.append(f"{mean(seconds):.3f}, {max(seconds):.3f}")
        yield f"| {coder} | {' | '.join(cells)} |"


def main() -> None:
    """Print, and write, the tables."""
    parser = argparse.ArgumentParser(description="bytes and seconds of the coders on the same whole numbers")
    parser.add_argument("--fast", action="store_true", help="3,500 images of mnist5k: no download")
    parser.add_argument("--root", default="data", help="the folder that holds MNIST/raw")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="a folder for the whole numbers, so that a later call need not train")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [row for seed in options.seeds for row in measured(seed, options)]
    tables = [bytes_table(found), seconds_table(found)]
    if "arithmetic" in found[0]["coders"] and ISO in found[0]["coders"]:
        tables.insert(0, ratios_table(found))
    text = "\n\n".join("\n".join(table) for table in tables)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.output:
        command = f"{'--fast ' * options.fast}--seeds {' '.join(map(str, options.seeds))} --output {options.output}"
        options.output.write_text(PAGE.format(command=command, headers=found[0]["headers"], tables=text))


if __name__ == "__main__":
    main()
