"""What the command line costs beside a bare Hydra program: medians of interleaved runs, and their ratios.

usage: python benchmarks/startup.py [REPEATS]

`--help`: at most 1.5 times a bare Hydra program's. `plan --fast` of 300 points: at most 5 s. 36 stored points: answered
in at most 3 s beyond the interpreter's start and its imports (they are made, not trained: their done.json files lie in
a store of their own). `catalogue`: at most 1 s. `convarium.load` with a first file, a dense LeNet-300-100: at most 1.2
times `import torch`; a file with surgery is tried on torch's meta device first, which imports torch's compiler.
Every network that has a file, at 3x224x224x1000 on torch's meta device: at most 1.5 s once its library is imported.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

BARE = """import hydra


@hydra.main(version_base=None, config_path=None)
def main(config):
    pass


main()
"""
CHAINS = "compression=magnitude,[magnitude,kmeans],[magnitude,kmeans,huffman]"
MANY = [CHAINS, "compression.magnitude.sparsity=0.5,0.8", "recipe.lr=0.1,0.01", "seed=range(0,25)"]
LENET = {"source": "own", "name": "lenet300_100", "in_chans": 1, "num_classes": 10, "img_size": 28, "stem": "native"}
FACTORED = [{"op": "factor", "form": "channel", "ranks": {"fc1": 30}}]
RESULT = {"metrics": {"accuracy": 0.9}}
STORED = [CHAINS, "compression.magnitude.sparsity=0.5,0.8,0.9,0.95", "seed=0,1,2"]


def seconds(command: list[str], folder: Path) -> float:
    """Return the wall time of one run of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def medians(commands: dict[str, list[str]], folder: Path, repeats: int) -> dict[str, float]:
    """Run the commands in turns, the first turn uncounted; return each one's median (s)."""
    turns = [{name: seconds(command, folder) for name, command in commands.items()} for _ in range(repeats + 1)]
    return {name: median(turn[name] for turn in turns[1:]) for name in commands}


def pretend(folder: Path) -> None:
    """Write a done.json for every stage of STORED, as if it had run."""
    from convarium.compose.points import compose_points
    from convarium.host.provenance import hash_source
    from convarium.planning.stage_graph import build_plan
    from convarium.store.store import Store

    store = Store(folder / "outputs/store")
    for node in build_plan(compose_points(STORED).points).nodes.values():
        done = {
            "format": 2,
            "signature": node.signature,
            "stage": node.stage,
            "version": node.version,
            "stage_config": node.stage_config,
        }
        rest = {"parents": list(node.parents), "fingerprint": node.fingerprint, "name": node.name, "started": ""}
        path = store.folder_of(node) / "done.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**done, **rest, "source": hash_source(), "seconds": 1.0, "result": RESULT}))


def files(folder: Path) -> None:
    """Write a dense network as dense.cvm, and one with surgery as factored.cvm."""
    from convarium import edits
    from convarium.architectures import factory
    from convarium.cvm import container

    for name, surgery in (("dense", []), ("factored", FACTORED)):
        architecture = {**LENET, "kwargs": {}}
        network = factory.build_architecture(architecture)
        edits.apply_surgery(network, surgery)
        given = {"shape": [1, 28, 28], "mean": [0.13], "std": [0.31]}
        header = {"architecture": architecture, "task": "classification", "classes": 10, "input": given}
        container.write_cvm(folder / f"{name}.cvm", network, {**header, "surgery": surgery}, {})


def built() -> dict[str, float]:
    """Return the seconds that each network takes on the meta device; the libraries are imported before."""
    from convarium.architectures import factory
    from convarium.conformance.small_architectures import find_architecture_files, read_architecture_file

    found = {}
    for option in ("cross_layer/resnet18", "splitting/googlenet", *find_architecture_files()):
        described = read_architecture_file(option) | {"in_chans": 3, "num_classes": 1000, "img_size": 224}
        start = time.perf_counter()
        factory.build_architecture(described, "meta")
        found[option] = time.perf_counter() - start
    return found


def main(repeats: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        pretend(folder)
        files(folder)
        load = "import convarium; convarium.load('{}.cvm')"
        convarium = [sys.executable, "-m", "convarium"]
        found = medians(
            {
                "bare --help": [sys.executable, "bare.py", "--help"],
                "--help": [*convarium, "--help"],
                "run --help": [*convarium, "run", "--help"],
                "plan --fast of 300 points": [*convarium, "plan", "--fast", *MANY],
                "imports": [
                    sys.executable,
                    "-c",
                    "import convarium.compose.hydra_adapter, convarium.planning.stage_graph, rich.table",
                ],
                "36 stored points": [*convarium, "run", *STORED],
                "catalogue": [*convarium, "catalogue"],
                "import torch": [sys.executable, "-c", "import torch"],
                "load": [sys.executable, "-c", load.format("dense")],
                "load, surgery": [sys.executable, "-c", load.format("factored")],
            },
            folder,
            repeats,
        )
    show(found, print)
    networks = built()
    slowest = max(networks, key=networks.__getitem__)
    print(f"{len(networks)} networks, the slowest {networks[slowest]:6.2f} s, {slowest} (at most 1.5)")


def show(found: dict[str, float], say: Callable[[str], None]) -> None:
    """Say what was measured, with the bound of each figure."""
    help_, plan, stored = found["--help"], found["plan --fast of 300 points"], found["36 stored points"]
    say(f"convarium --help           {help_:6.2f} s, {help_ / found['bare --help']:.2f} x bare Hydra (at most 1.5)")
    say(f"convarium run --help       {found['run --help']:6.2f} s, {found['run --help'] / found['bare --help']:.2f} x")
    say(f"plan --fast of 300 points  {plan:6.2f} s (at most 5)")
    say(f"36 stored points           {stored:6.2f} s, {stored - found['imports']:.2f} s beyond imports (at most 3)")
    say(f"catalogue                  {found['catalogue']:6.2f} s (at most 1)")
    torch, load, surgery = found["import torch"], found["load"], found["load, surgery"]
    say(f"convarium.load             {load:6.2f} s, {load / torch:.2f} x import torch (at most 1.2)")
    say(f"convarium.load, surgery    {surgery:6.2f} s, {surgery / torch:.2f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
