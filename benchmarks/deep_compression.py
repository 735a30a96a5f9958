"""Deep Compression of LeNet-300-100, end to end (published: 40x; ours must be 38x with at most 0.2 pp lost).

Runs `sweep=checks/deep_compression`, prints its comparison, then puts the same decoded weights under every other
definition of "compression ratio". Arguments are passed to `convarium` (such as `dataset.root=…`, `seed=10,11,12`).
"""

import io
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import convarium

SWEEP = "sweep=checks/deep_compression"
State = dict[str, Tensor]


def command(name: str, *arguments: str) -> Any:
    """Return the JSON document of a `convarium` command."""
    line = [sys.executable, "-m", "convarium", name, SWEEP, "--json", *arguments]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)


def saved(state: State) -> int:
    """Bytes of `torch.save`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer().nbytes


def csr(state: State, index: int) -> int:
    """Compressed sparse rows: fp32 values, `index` bytes per column, four per row; vectors as they are."""
    return sum(
        int((t != 0).sum()) * (4 + index) + 4 * (len(t) + 1) if t.dim() > 1 else 4 * t.numel() for t in state.values()
    )


def nominal(state: State) -> int:
    """Bits per id (6) and gap (5) of each nonzero weight, nothing else."""
    return sum(int((t != 0).sum()) for t in state.values() if t.dim() > 1) * 11 // 8


def xz(state: State) -> int:
    """`xz -9e` of the raw tensors, zeros included."""
    return len(lzma.compress(b"".join(t.numpy().tobytes() for t in state.values()), preset=9 | lzma.PRESET_EXTREME))


def raw(state: State) -> int:
    """Bytes of all tensors in fp32."""
    return sum(4 * t.numel() for t in state.values())


DEFINITIONS: dict[str, Callable[[State], float]] = {
    "`torch.save` of the state dict": saved,
    "CSR, int32 columns, fp32 values": lambda state: csr(state, 4),
    "CSR, int16 columns, fp32 values": lambda state: csr(state, 2),
    "nonzeros x 4 bytes": lambda state: 4 * sum(int((t != 0).sum()) for t in state.values()),
    "`xz -9e` of the zeroed fp32 tensors": xz,
    "nominal bits (6 + 5 a nonzero)": nominal,
}


def main() -> None:
    """Print both tables."""
    arguments = sys.argv[1:]
    runs = command("run", *arguments)["runs"]
    subprocess.run([sys.executable, "-m", "convarium", "compare", SWEEP, *arguments], check=True)
    print("\n| the same weights, by definition of size | " + " | ".join("bytes | ratio" for _ in seeds(runs)) + " |")
    print("|---|" + "---|---|" * len(seeds(runs)))
    chains = [run for run in runs if "huffman" in " ".join(run["overrides"])]
    states = [convarium.load(Path(run["path"]) / "network.cvm").state_dict() for run in chains]
    for name, size in DEFINITIONS.items():
        cells = (f"{size(state):,.0f} | {raw(state) / size(state):.1f}x" for state in states)
        print(f"| {name} | {' | '.join(cells)} |")
    cells = (f"{run['metrics']['file_bytes']:,} | {run['metrics']['ratio']:.1f}x" for run in chains)
    print(f"| **the whole file** | {' | '.join(cells)} |")


def seeds(runs: list[dict[str, Any]]) -> list[int]:
    """Return the seeds, each once."""
    return sorted({run["seed"] for run in runs})


if __name__ == "__main__":
    main()
