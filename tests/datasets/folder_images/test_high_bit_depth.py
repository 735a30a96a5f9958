"""Images of more than 8 bits keep their content: their values are scaled by the range of the training images."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from command_lines import HERE, Call
from convarium.cvm import container
from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.folder_images.probe_image import UnreadableImage
from convarium.datasets.image_decoding import decode_image
from high_depth_images import write_png16, write_tiff

SIDE = 8
Samples = NDArray[Any]


def ramp(low: float, high: float, kind: Any, channels: int = 0) -> Samples:
    """Values from low to high, each of them somewhere."""
    shape = (SIDE, SIDE, channels) if channels else (SIDE, SIDE)
    return np.linspace(low, high, int(np.prod(shape))).reshape(shape).astype(kind)


def big(path: Path, samples: Samples) -> None:
    write_tiff(path, samples, ">")


def compressed(path: Path, samples: Samples) -> None:
    write_tiff(path, samples, deflated=True)


def both(path: Path, samples: Samples) -> None:
    write_tiff(path, samples, ">", deflated=True)


Write = Callable[[Path, Samples], None]
WIDE: dict[str, tuple[Write, str, Samples]] = {
    "float 0..1": (write_tiff, "tif", ramp(0, 1, np.float32)),
    "float 0..1, big-endian": (big, "tif", ramp(0, 1, np.float32)),
    "float 0..1, compressed": (compressed, "tif", ramp(0, 1, np.float32)),
    "float 0..1, big-endian and compressed": (both, "tif", ramp(0, 1, np.float32)),
    "float 0..255": (write_tiff, "tif", ramp(0, 255, np.float32)),
    "float 0..65535": (write_tiff, "tif", ramp(0, 65535, np.float32)),
    "float about 0": (write_tiff, "tif", ramp(-3, 2, np.float32)),
    "float far from 0": (write_tiff, "tif", ramp(1000, 1001, np.float32)),
    "12 bits in a PNG": (write_png16, "png", ramp(0, 4095, np.uint16)),
    "all 16 bits": (write_png16, "png", ramp(0, 65535, np.uint16)),
    "16 bits, TIFF": (write_tiff, "tif", ramp(0, 4095, np.uint16)),
    "16 bits, big-endian": (big, "tif", ramp(0, 4095, np.uint16)),
    "16 bits, compressed": (compressed, "tif", ramp(0, 4095, np.uint16)),
    "16 bits, big-endian and compressed": (both, "tif", ramp(0, 4095, np.uint16)),
    "16 bits with a sign, big-endian and compressed": (both, "tif", ramp(-200, 700, np.int16)),
    "16 bits with a sign": (write_tiff, "tif", ramp(-200, 700, np.int16)),
    "int32": (write_tiff, "tif", ramp(0, 100_000, np.int32)),
    "int32, big-endian": (big, "tif", ramp(-7, 100_000, np.int32)),
    "int32, big-endian and compressed": (both, "tif", ramp(-7, 100_000, np.int32)),
    "uint32": (write_tiff, "tif", ramp(0, 4e9, np.uint32)),
    "RGB of 16 bits": (write_png16, "png", ramp(0, 4095, np.uint16, 3)),
    "RGB of 16 bits, TIFF": (write_tiff, "tif", ramp(0, 4095, np.uint16, 3)),
    "RGB of 16 bits, compressed": (compressed, "tif", ramp(0, 4095, np.uint16, 3)),
    "RGB of 16 bits, big-endian and compressed": (both, "tif", ramp(0, 4095, np.uint16, 3)),
    "RGB of 16 bits, big-endian": (big, "tif", ramp(0, 4095, np.uint16, 3)),
}


def scaled(samples: Samples, low: float, high: float) -> NDArray[np.int64]:
    return np.rint(255 * (samples.astype(np.float64) - low) / (high - low)).astype(np.int64)


@pytest.mark.parametrize("kind", WIDE)
def test_values_become_grey_levels_by_the_range_of_the_training_images(kind: str, tmp_path: Path) -> None:
    write, suffix, samples = WIDE[kind]
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for place in range(4):
            write(tmp_path / name / f"{place}.{suffix}", np.roll(samples, place + (name == "dog"), axis=0))
    found = list_folder_images(tmp_path, "fail")
    low, high = float(samples.min()), float(samples.max())
    assert found.value_range == (low, high)
    channels = 3 if samples.ndim > 2 else 1
    pixels = decode_image(found.parts["train"][0].path, SIDE, channels, value_range=found.value_range)
    assert sorted(pixels.flat) == sorted(scaled(samples, low, high).flat)
    assert len(set(pixels.flat)) > 60


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_transparent_is_white(channels: int, tmp_path: Path) -> None:
    samples = ramp(100, 4095, np.uint16, channels)
    samples[..., -1] = 65535
    samples[0, :, -1] = 0
    for write, name in ((write_png16, "a.png"), (write_tiff, "a.tif")):
        if write is write_png16 or channels == 4:
            write(tmp_path / name, samples)
            pixels = decode_image(tmp_path / name, SIDE, 3, value_range=(100, 4095))
            assert set(pixels[0].flat) == {255}
            assert np.array_equal(pixels[1:], scaled(np.broadcast_to(samples[1:, :, :-1], (7, 8, 3)), 100, 4095))


def test_what_is_no_number_is_black_and_counts_for_no_range(tmp_path: Path) -> None:
    samples = ramp(0, 1, np.float32)
    samples[0, :3] = (np.nan, np.inf, -np.inf)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for place in range(3):
            write_tiff(tmp_path / name / f"{place}.tif", np.roll(samples, place + 3 * (name == "dog"), axis=1))
    found = list_folder_images(tmp_path, "fail")
    assert found.value_range == (float(samples[0, 3]), 1.0)
    assert decode_image(tmp_path / "cat/0.tif", SIDE, 1, value_range=found.value_range)[0, :3].ravel().tolist() == [
        0,
        255,
        0,
    ]


def test_a_wide_image_stands_upright(tmp_path: Path) -> None:
    samples = ramp(0, 4095, np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "a.tif"):
        Image.fromarray(samples).save(tmp_path / name, exif=exif)
        pixels = decode_image(tmp_path / name, SIDE, 1, value_range=(0, 4095))[..., 0]
        assert np.array_equal(pixels, scaled(np.rot90(samples, -1), 0, 4095)), name


def test_only_training_images_make_the_range(tmp_path: Path) -> None:
    for part, most in (("train", 1000), ("val", 2000), ("test", 4000)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for place in range(2):
                write_png16(tmp_path / part / name / f"{place}.png", ramp(place, most, np.uint16))
    found = list_folder_images(tmp_path, "fail")
    assert found.value_range == (0.0, 1000.0)
    assert decode_image(tmp_path / "test/cat/0.png", SIDE, 1, value_range=found.value_range).max() == 255


def test_an_image_of_32_bits_is_not_taken_without_a_range(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", ramp(0, 1, np.float32))
    with pytest.raises(UnreadableImage, match=r"has values of 32 bits, and dataset.value_range says of none"):
        decode_image(tmp_path / "a.tif", SIDE, 1)


EIGHT_BITS = {
    "1": "png", "L": "png", "P": "png", "LA": "png", "RGB": "jpg", "RGBA": "png", "CMYK": "tif", "YCbCr": "tif",
}  # fmt: skip


@pytest.mark.parametrize("mode", EIGHT_BITS)
def test_images_of_8_bits_are_read_as_ever_and_only_their_heads_are_looked_at(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convarium.datasets.folder_images.manifest.find_pixel_extent", lambda _: pytest.fail("decoded"))
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for place in range(3):
            samples = np.roll(ramp(0, 252, np.uint8), place + 3 * (name == "dog"), axis=1)
            image = Image.fromarray(samples).convert(mode)
            image.save(tmp_path / name / f"{place}.{EIGHT_BITS[mode]}")
    found = list_folder_images(tmp_path, "fail")
    assert found.value_range is None
    path = found.parts["train"][0].path
    assert np.array_equal(decode_image(path, SIDE, 3, value_range=(0, 9)), decode_image(path, SIDE, 3))
    assert len(set(decode_image(path, SIDE, 1).flat)) > (1 if mode == "1" else 60)


def test_of_a_stack_the_first_image_counts(tmp_path: Path) -> None:
    pages = [Image.fromarray(ramp(0, most, np.uint16)) for most in (1000, 4000)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert decode_image(tmp_path / "a.tif", SIDE, 1, value_range=(0, 1000)).max() == 255


def wide_folder(root: Path, most: float, count: int = 12) -> Path:
    """Float images from 0 to `most`: one class grows brighter downwards, the other to the right."""
    for label, name in enumerate(("down", "right")):
        (root / name).mkdir(parents=True)
        for place in range(count):
            samples = ramp(place * most / 1000, most, np.float32)
            write_tiff(root / name / f"{place}.tif", samples.T if label else samples)
    return root


SIZE = ("dataset=image_folder", "dataset.img_size=8", "dataset.channels=1")
ASKED = (*SIZE, "dataset.root=mine", "architecture=mlp", "architecture.kwargs.hidden=[8]", "recipe.epochs=20",
         "recipe.batch_size=8", "recipe.warmup_epochs=0")  # fmt: skip


def test_a_network_keeps_the_range_and_other_images_are_scaled_by_it(here: Path, call: Call) -> None:
    wide_folder(here / "mine", 1)
    wide_folder(here / "brighter", 20)
    code, out, error = call("run", "--json", *ASKED, *HERE, "compression=[magnitude]", "compression.magnitude.epochs=1")
    assert code == 0, error
    assert "values of 0 to 1 become black to white" in error
    (run,) = json.loads(out)["runs"]
    assert run["metrics"]["accuracy"] == 1
    assert call("export", run["signature"], "-o", "net.cvm", "runtime.store=store", "dataset.root=mine")[0] == 0
    assert container.read_cvm(Path("net.cvm")).header["input"]["value_range"] == [0.0, 1.0]
    code, out, error = call("measure", "net.cvm", "--json", *SIZE, "dataset.root=brighter")
    assert (code, json.loads(out)["metrics"]["accuracy"]) == (0, 0.5), error  # all is white
    code, out, error = call("adopt", "net.cvm", *ASKED, *HERE)
    assert code == 2  # a compressed one
    code, out, _ = call("run", "--json", *ASKED, *HERE)
    dense = json.loads(out)["runs"][0]["signature"]
    assert call("export", dense, "-o", "dense.cvm", "runtime.store=store", "dataset.root=mine")[0] == 0
    code, out, error = call("adopt", "dense.cvm", "--json", *ASKED, *HERE, "dataset.root=brighter")
    assert (code, json.loads(out)["adopted"]["input"]["value_range"]) == (0, [0.0, 1.0]), error
    assert json.loads(out)["runs"][0]["metrics"]["accuracy"] == 0.5
    code, out, error = call("export", dense, "-o", "net.safetensors", "runtime.store=store", "dataset.root=mine")
    assert code == 0, error
    from safetensors import safe_open

    with safe_open("net.safetensors", "pt") as file:
        assert json.loads(file.metadata()["value_range"]) == [0.0, 1.0]
    assert call("verify", "net.safetensors", "runtime.store=store", "dataset.root=mine")[0] == 0


def test_a_range_that_is_typed_is_another_result(here: Path, call: Call) -> None:
    wide_folder(here / "mine", 1)
    seen = set()
    for typed in ((), ("dataset.value_range=[0,2]",), ("dataset.value_range=[0.0,2.0]",)):
        code, out, error = call("run", "--cfg", "job", *ASKED, *HERE, *typed)
        assert code == 0, error
        seen.add(out.partition("\n")[2])
    assert len(seen) == 2
    assert len({text[text.index("fingerprint") :].partition("\n")[0] for text in seen}) == 1


def test_nearly_constant_images_are_told(here: Path, call: Call) -> None:
    wide_folder(here / "mine", 1)
    write_tiff(here / "mine/down/0.tif", ramp(0, 1000, np.float32))
    line = "23 images are nearly constant in this range, such as mine/"
    for command in ("plan", "run"):
        code, out, error = call(command, "--json", *ASKED, *HERE, "dataset.value_range=[0,1000]")
        assert (code, error.count(line)) == (0, 1), error
        assert len(json.loads(out)["datasets"][0]["nearly_constant"]) == 23
    assert "nearly constant" not in call("plan", *ASKED, *HERE, "dataset.value_range=[0,1]")[2]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("[1]", "expected two numbers, the values of black and white"),
        ("[2,1]", "expected two numbers"),
        ("[0,.nan]", "expected two numbers"),
        ("[a,b]", "expected two numbers"),
    ],
)
def test_a_range_that_is_none_is_refused(typed: str, said: str, here: Path, call: Call) -> None:
    wide_folder(here / "mine", 1, count=3)
    code, _, error = call("plan", *ASKED, *HERE, f"dataset.value_range={typed}")
    assert (code, said in error) == (2, True), error


def test_a_range_where_nothing_is_scaled_is_refused(here: Path, call: Call) -> None:
    for name in ("cat", "dog"):
        (here / "mine" / name).mkdir(parents=True)
        for place in range(3):
            Image.new("L", (4, 4), place + 3 * (name == "dog")).save(here / "mine" / name / f"{place}.png")
    code, _, error = call("plan", *ASKED, *HERE, "dataset.value_range=[0,1]")
    assert (code, "the images in mine have 8 bits, nothing is scaled" in error) == (2, True)


def test_values_are_looked_at_once_and_without_torch(here: Path) -> None:
    wide_folder(here / "mine", 1)
    for path in here.rglob("*.tif"):
        os.utime(path, ns=(10**18, 10**18))
    script = """
import sys
from pathlib import Path
from convarium.datasets.folder_images import list_folder_images, manifest
if sys.argv[1] == "again":
    manifest.find_pixel_extent = None
print(list_folder_images(Path("mine"), "fail", Path("keep")).value_range, "torch" in sys.modules)
"""
    inodes = []
    for turn in ("first", "again"):
        done = subprocess.run([sys.executable, "-c", script, turn], capture_output=True, text=True, check=True)
        assert done.stdout == "(0.0, 1.0) False\n"
        (manifest,) = (here / "keep").glob("*.json")
        inodes.append(manifest.stat().st_ino)
    assert inodes[0] == inodes[1], "nothing has changed, and nothing is written"
