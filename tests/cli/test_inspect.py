"""`inspect` shows a network by its name, its signature or its file, and the figure of its maps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from command_lines import IN_PROCESS, Call
from convarium.architectures import factory
from convarium.catalogue.rows import CatalogueRow, read_catalogue_rows
from convarium.cli import main
from convarium.cli.command_parser import parse_overrides
from convarium.cli.inspect import summarise_network
from convarium.cli.inspected_network import resolve_network
from convarium.cvm import container
from real_images import write_photo_folder

Json = dict[str, Any]
TINY = (
    "architecture=lenet5_modern", "dataset=digits", "dataset.img_size=16", "dataset.train_size=200", "recipe.epochs=1",
    *IN_PROCESS,
)  # fmt: skip
ZFNET = {
    "source": "own", "name": "zfnet", "in_chans": 3, "num_classes": 2, "img_size": 61, "stem": "native", "kwargs": {},
}  # fmt: skip


def told(call: Call, *arguments: str) -> Json:
    code, out, error = call("inspect", *arguments, "--json")
    assert code == 0, error
    found: Json = json.loads(out)
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A trained network whose filters are cut, pruned and shared: its store and its signature."""
    root = tmp_path_factory.mktemp("stored")
    steps = ("compression=[filter_l1,magnitude,kmeans,huffman]", "compression.filter_l1.epochs=0",
             "compression.magnitude.epochs=0", "compression.kmeans.epochs=0")  # fmt: skip
    assert main(["run", *TINY, *steps, f"runtime.store={root}"]) == 0
    (folder,) = (path for path in (root / "compress").iterdir() if "huffman" in path.name)
    return f"runtime.store={root}", folder.name.rpartition("-")[2]


@pytest.fixture
def zfnet(here: Path) -> Path:
    """A network for colour images in a file; its weights are drawn by lot."""
    torch.manual_seed(0)
    header = {"architecture": ZFNET, "task": "classification", "classes": 2, "surgery": [],
              "input": {"shape": [3, 61, 61], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}}  # fmt: skip
    container.write_cvm(here / "net.cvm", factory.build_architecture(ZFNET), header, {})
    return here / "net.cvm"


def test_a_network_of_the_catalogue_stands_at_its_paper_s_images(call: Call) -> None:
    found = told(call, "architecture=resnet18")
    assert found["input"]["shape"] == [3, 224, 224]
    assert found["input"]["classes"] == 1000
    assert (found["parameters"], found["macs"]) == (11_689_512, 1_814_073_344)
    assert (found["trainable_parameters"], found["buffers"]) == (11_689_512, 9_620)
    assert found["dense_bytes"] == 4 * 11_689_512
    assert found["catalogue"]["id"] == "resnet18"
    assert (found["option"], found["file"]) == (
        "architecture=cross_layer/resnet18",
        "conf/architecture/cross_layer/resnet18.yaml",
    )
    out = call("inspect", "architecture=resnet18")[1]
    assert "3x224x224, 1,000 classes, of its paper" in out
    assert "resnet18: ResNet-18 (He 2016), section 3.3; 11,689,512 parameters and 1,814,073,344 MACs at 224" in out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "row", [row for row in read_catalogue_rows() if row.network and row.config], ids=lambda row: row.id
)
def test_a_network_by_its_name_has_the_figures_of_its_row(row: CatalogueRow) -> None:
    """Those of T2T-ViT with the fixed tables, of which the row's line says that it counts them."""
    overrides = parse_overrides((row.config or "").split())
    found = summarise_network(resolve_network(None, overrides))
    assert found["catalogue"]["id"] == row.id
    assert found["changed"] == []
    tables = found["buffers"] if found["catalogue"]["counts_tables"] else 0
    assert (found["parameters"] + tables, found["macs"]) == (row.parameters, row.macs)


def test_what_a_row_counts_otherwise_its_line_says(call: Call) -> None:
    out = call("inspect", "architecture=t2t_vit_14")[1]
    assert "; 21,545,550 parameters (with fixed tables, buffers here) and 4,783,468,544 MACs at 224 pixels" in out
    assert "parameters    21,465,806, all trained" in out
    out = call("inspect", "architecture=d3net_s", "dataset=cifar10")[1]
    assert "98,360,688,640 MACs at 512x1024 pixels, with head=pixels\n" in out
    assert "3x32x32, 10 classes, of dataset=cifar10" in out


def test_a_network_of_pixels_stands_at_the_images_of_its_paper_and_keeps_a_typed_head(call: Call) -> None:
    out = call("inspect", "architecture=d3net_s")[1]
    assert "3x512x1024, 19 classes, of its paper with head=pixels; dataset=NAME" in out
    assert "parameters    9,685,699, all trained" in out
    out = call("inspect", "architecture=d3net_s", "architecture.kwargs.head=images")[1]
    assert "3x512x1024, 19 classes, of its paper; dataset=NAME" in out
    assert "parameters    9,615,475, all trained" in out


def test_a_typed_dataset_decides_the_images_and_a_changed_network_says_so(call: Call) -> None:
    found = told(call, "architecture=resnet18", "architecture.stem=small", "dataset=cifar100")
    assert (found["input"]["shape"], found["input"]["classes"]) == ([3, 32, 32], 100)
    assert found["input"]["images"] == "of dataset=cifar100"
    assert found["changed"] == ["architecture.stem=small"]
    out = call("inspect", "architecture=resnet18", "architecture.stem=small", "dataset=cifar100")[1]
    assert "here with architecture.stem=small" in out


def test_a_network_of_no_paper_stands_at_the_dataset_s_images(call: Call) -> None:
    found = told(call, "architecture=timm", "architecture.name=resnet10t", "dataset=fashion_mnist")
    assert (found["source"], found["name"], found["catalogue"]) == ("timm", "resnet10t", None)
    assert found["input"]["shape"] == [1, 28, 28]


@pytest.mark.parametrize(
    ("line", "shape", "parameters"),
    [
        ("architecture=convnext_tiny", [3, 224, 224], 28_589_128),
        ("architecture=convnext_atto", [3, 224, 224], 3_695_520),
        ("architecture=efficientnet_b0", [3, 224, 224], 5_288_548),
        ("architecture=timm architecture.name=efficientnet_b1", [3, 240, 240], 7_794_184),
        ("architecture=torchvision architecture.name=inception_v3", [3, 299, 299], 23_834_568),
    ],
)
def test_a_network_of_a_library_without_a_row_stands_at_its_library_s_images(
    line: str, shape: list[int], parameters: int, call: Call
) -> None:
    found = told(call, *line.split())
    assert (found["input"]["shape"], found["input"]["classes"]) == (shape, 1000)
    assert found["input"]["images"] == "of its library; dataset=NAME takes another's"
    assert (found["catalogue"], found["parameters"]) == (None, parameters)


def test_a_network_that_a_library_keeps_without_a_classifier_gets_imagenet_s_classes(call: Call) -> None:
    found = told(call, "architecture=timm", "architecture.name=vit_small_patch14_dinov2")
    assert (found["input"]["shape"], found["input"]["classes"]) == ([3, 518, 518], 1000)


def test_a_network_of_ours_without_a_row_stands_at_the_usual_dataset_s_images(call: Call) -> None:
    found = told(call, "architecture=lenet5")
    assert found["catalogue"] is None
    assert found["input"] == {"shape": [1, 28, 28], "classes": 10, "images": "of dataset=mnist5k"}


def test_the_table_has_a_row_a_layer_and_totals_that_equal_the_summary_s(call: Call) -> None:
    found = told(call, "architecture=vit_tiny", "--table")
    assert sum(row["parameters"] for row in found["layers"]) == found["parameters"] == 5_717_416
    assert sum(row["macs"] for row in found["layers"]) == found["macs"]
    (attention,) = (row for row in found["layers"] if row["name"] == "blocks.0.attn")
    assert attention["macs"] == 2 * 197 * 197 * 192
    code, out, _ = call("inspect", "architecture=lenet5", "--table")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["conv2", "Conv2d", "1x50x8x8", "1", "25,050", "1,600,000"] in lines
    assert ["total", "431,080", "2,293,000"] in lines
    assert not Path("outputs").exists()


def test_a_stored_network_is_shown_as_its_file_holds_it(stored: tuple[str, str], call: Call) -> None:
    store, signature = stored
    found = told(call, signature[:8], store, "--table")
    assert found["signature"] == signature
    assert found["edits"] > 0
    assert found["parameters"] < 61_706
    assert found["nonzeros"] < 0.2 * found["parameters"]
    for key in ("parameters", "nonzeros", "macs"):
        assert sum(row[key] for row in found["layers"]) == found[key]
    around = found["bytes"]["header"] + found["bytes"]["surgery"]
    assert sum(row["bytes"] for row in found["layers"]) + around == found["file_bytes"]
    assert sum(found["bytes"].values()) == found["file_bytes"] == Path(found["file"]).stat().st_size
    by_file = told(call, found["file"], "--table")
    assert by_file == {**found, "signature": None}
    out = call("inspect", signature, store, "--table")[1]
    assert f"{found['file_bytes']:,} (weights" in out
    assert f"surgery       {found['edits']} edits" in out


def test_the_figure_of_a_stored_network_s_maps(stored: tuple[str, str], call: Call) -> None:
    store, signature = stored
    found = told(call, signature, store, "--deconvnet", "maps.png", "--layer", "conv1", "--maps", "2")["deconvnet"]
    assert (found["file"], found["layer"], len(found["maps"])) == ("maps.png", "conv1", 2)
    assert found["images"] == "200 validation images of digits"
    assert found["maps"][0]["activation"] >= found["maps"][1]["activation"] > 0
    first = Path("maps.png").read_bytes()
    with Image.open("maps.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 200
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    code, out, _ = call("inspect", signature, store, "--deconvnet", "maps.png", "--layer", "conv1", "--maps", "2")
    assert code == 0
    assert "maps.png: layer conv1, maps " in out
    assert Path("maps.png").read_bytes() == first


def test_a_file_that_was_not_drawn_here_is_not_overwritten(zfnet: Path, call: Call) -> None:
    photo = next(write_photo_folder(Path("my_images"), 1).rglob("*.jpg")).rename("photo.png")
    before = photo.read_bytes()
    code, _, error = call("inspect", "net.cvm", "--deconvnet", "photo.png")
    assert code == 2
    assert "photo.png: is the file to write, and one is there that was not drawn by inspect" in error
    assert "images to look at are --images photo.png" in error
    assert photo.read_bytes() == before


def test_a_file_takes_images_or_a_typed_dataset(zfnet: Path, call: Call) -> None:
    folder = write_photo_folder(Path("my_images"), 3)
    found = told(call, "net.cvm", "--deconvnet", "maps.png", "--images", "my_images")["deconvnet"]
    assert (found["layer"], found["images"]) == ("conv5", "6 images")
    assert len(found["maps"]) == 9
    assert {one["image"] for one in found["maps"]} <= {str(path) for path in folder.rglob("*.jpg")}
    (one,) = {
        row["image"]
        for row in told(call, "net.cvm", "--deconvnet", "one.png", "--layer", "conv1", "--images",
                        "my_images/china/000.jpg")["deconvnet"]["maps"]
    }  # fmt: skip
    assert one == "my_images/china/000.jpg"


def test_files_of_a_folder_that_are_no_images_are_passed_over(zfnet: Path, call: Call) -> None:
    photos = sorted(write_photo_folder(Path("my_images"), 1).rglob("*.jpg"))
    Path("my_images/notes.txt").write_text("no image")
    Path("my_images/.DS_Store").write_bytes(bytes(9))
    Path("my_images/.hidden.jpg").write_bytes(photos[0].read_bytes())
    photos[0].rename("my_images/no_suffix")
    found = told(call, "net.cvm", "--deconvnet", "maps.png", "--layer", "conv1", "--images", "my_images")["deconvnet"]
    assert found["images"] == "2 images"
    assert {one["image"] for one in found["maps"]} <= {"my_images/no_suffix", str(photos[1])}


def test_an_image_of_a_folder_that_is_cut_off_is_refused(zfnet: Path, call: Call) -> None:
    photo = next(write_photo_folder(Path("my_images"), 1).rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes()[:-100])
    code, _, error = call("inspect", "net.cvm", "--deconvnet", "maps.png", "--images", "my_images")
    assert code == 2
    assert f"--images {photo}: " in error


def test_a_file_s_dataset_is_held_against_its_network(stored: tuple[str, str], call: Call) -> None:
    store, signature = stored
    path = told(call, signature, store)["file"]
    right = ("dataset=digits", "dataset.img_size=16")
    assert told(call, path, *right, "--deconvnet", "maps.png")["deconvnet"]["images"].endswith("of digits")
    code, _, error = call("inspect", path, "dataset=mnist5k", "--deconvnet", "maps.png")
    assert code == 2
    assert "takes images of 1x16x16, dataset=mnist5k has 1x28x28" in error


MISTAKES = [
    ((), "which network? write architecture=NAME, a signature, or a .cvm file"),
    (("dataset=cifar10",), "which network?"),
    (("architecture=timm", "architecture.name=resnet21x"), "architecture.name='resnet21x': timm has no such network"),
    (("architecture=resnet21",), "architecture=resnet21: no such architecture (did you mean"),
    (("resnet18",), "resnet18 is neither a signature nor a file; a network by its name is architecture=resnet18"),
    (("nothing.cvm",), "nothing.cvm can't be read: No such file"),
    (("net.cvm", "architecture=lenet5"), "architecture=lenet5: the file says what its network is"),
    (("ffff",), "has a signature that starts with 'ffff'"),
    (("architecture=resnet18,resnet20",), "inspect takes one network, not 2"),
    (("architecture=lenet5", "compression=kmeans"), "leave out compression=…"),
    (("architecture=resnet18", "--deconvnet", "maps.png"), "this one is not trained: name a signature or a .cvm file"),
    (("net.cvm", "--layer", "conv1"), "--layer says nothing without --deconvnet FILE.png"),
    (("net.cvm", "--deconvnet", "maps.jpg"), "maps.jpg: expected a name that ends with .png"),
    (("net.cvm", "--deconvnet", "maps.png", "--maps", "0"), "--maps 0: expected at least 1"),
    (("net.cvm", "--deconvnet", "maps.png"), "doesn't say where its images are: add dataset=NAME, or --images FOLDER"),
    (("net.cvm", "--deconvnet", "maps.png", "--layer", "conv9"), "--layer conv9: the network has no such layer (did"),
    (("net.cvm", "--deconvnet", "maps.png", "--layer", "fc1"), "is not a chain: flatten (Flatten) is not a plain"),
    (("net.cvm", "--deconvnet", "maps.png", "--images", "notes.txt"), "--images notes.txt: is not an image"),
    (("net.cvm", "--deconvnet", "maps.png", "--images", "empty"), "--images empty: holds no images"),
    (("net.cvm", "--deconvnet", "maps.png", "--images", "words"), "--images words: holds no images"),
    (("net.cvm", "--deconvnet", "maps.png", "--images", "none"), "--images none: is not a file that can be read"),
    (("net.cvm", "--deconvnet", "no/maps.png"), "--deconvnet no/maps.png: can't be written: No such file"),
]  # fmt: skip


@pytest.mark.usefixtures("zfnet")
@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=lambda value: " ".join(value)[:50])
def test_a_mistake_is_one_line_and_leaves_nothing(arguments: tuple[str, ...], said: str, call: Call) -> None:
    Path("notes.txt").write_text("no image")
    Path("empty").mkdir()
    Path("words").mkdir()
    Path("words/notes.txt").write_text("no image")
    code, out, error = call("inspect", *arguments)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert said in error
    assert not [path for path in Path().rglob("*") if "maps" in path.name]


def test_a_stored_network_takes_no_settings_of_its_own(stored: tuple[str, str], call: Call) -> None:
    store, signature = stored
    code, _, error = call("inspect", signature, store, "dataset=mnist5k")
    assert code == 2
    assert "inspect takes runtime.… and dataset.root=FOLDER; the signature says the rest" in error
