"""What `inspect --deconvnet` does: the images, the pictures of a layer's strongest maps, and where they are written."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from convarium.cli.subject import Stored, Subject
    from convarium.datasets.splits import Images
    from convarium.measurement.deconvnet.projection import Peak

Json = dict[str, Any]
DRAWN_BY = "convarium inspect"  # written into each picture
BEGINNING = 1024  # bytes of a picture in which that stands


@dataclass(frozen=True, eq=False)
class Shown:
    """Images (N, C, H, W) as the network takes them, what they are, and what each of a list is called."""

    images: "Images"
    what: str
    names: Sequence[str] | None = None

    def name(self, place: int) -> str | int:
        """Return the file of an image, or its place in the split."""
        return self.names[place] if self.names else place


def refuse(options: Namespace) -> None:
    """Refuse options that say nothing, or not what can be done, before anything heavy is imported.

    Raises:
        UserError: `--layer`, `--maps` or `--images` without `--deconvnet`; a file that is to be no PNG, or is one that
            was not drawn here; no map.
    """
    if options.deconvnet is None:
        if given := [name for name in ("layer", "maps", "images") if getattr(options, name) is not None]:
            raise UserError(f"--{given[0]} says nothing without --deconvnet FILE.png")
        return
    if options.deconvnet.suffix != ".png":
        raise UserError(f"--deconvnet {options.deconvnet}: expected a name that ends with .png")
    if options.maps is not None and options.maps < 1:
        raise UserError(f"--maps {options.maps}: expected at least 1")
    if options.deconvnet.is_file() and not _is_drawn(options.deconvnet):
        raise UserError(
            f"--deconvnet {options.deconvnet}: is the file to write, and one is there that was not drawn by inspect; "
            f"images to look at are --images {options.deconvnet}"
        )


def _is_drawn(picture: Path) -> bool:
    try:
        with picture.open("rb") as file:
            return DRAWN_BY.encode() in file.read(BEGINNING)
    except OSError as error:
        raise UserError(f"--deconvnet {picture}: can't be written: {error.strerror}") from None


def pictured(subject: "Subject", options: Namespace) -> Json:
    """Write the picture; return what it shows.

    Raises:
        UserError: the network is not trained, its layer no chain of convolutions, the images or the file can't be had.
    """
    from convarium.names import allowing
    from convarium.portable.beside import beside

    stored, target = subject.stored, options.deconvnet
    if stored is None:
        raise UserError(
            "--deconvnet shows what a network has learnt, and this one is not trained: name a signature or a .cvm file"
        )
    try:
        with beside(target) as path, allowing(stored.allow):
            return {"file": str(target), **_drawn(subject, stored, options, path)}
    except OSError as error:
        if error.filename != str(target):
            raise
        raise UserError(f"--deconvnet {target}: can't be written: {error.strerror}") from None


def _drawn(subject: "Subject", stored: "Stored", options: Namespace, path: Path) -> Json:
    import torch

    from convarium.measurement.deconvnet.chain import calls, chain, usual_layer
    from convarium.measurement.deconvnet.figure import draw
    from convarium.measurement.deconvnet.projection import peaks, projected

    found = calls(subject.network, torch.zeros(1, *subject.shape))
    layer = options.layer or usual_layer(found)
    chain(found, layer)
    shown = _images(stored, options.images)
    all_of_it = peaks(subject.network, layer, shown.images)
    strong = [peak for peak in all_of_it if peak.value > 0][: options.maps or 9]
    if not strong:
        raise UserError(f"--layer {layer}: none of its {len(all_of_it)} maps is above 0 anywhere in {shown.what}")
    images = [_image(shown.images, peak) for peak in strong]
    drawn = [projected(subject.network, layer, image, peak) for image, peak in zip(images, strong, strict=True)]
    title = f"{subject.architecture['name']}, layer {layer}: {len(strong)} of {len(all_of_it)} maps"
    draw(path, DRAWN_BY, f"{title}, {shown.what}", drawn, [_pixels(image, stored)[0] for image in images])
    maps = [{"map": one.peak.map, "activation": one.peak.value, "image": shown.name(one.peak.image),
             "row": one.place[0], "column": one.place[1]} for one in drawn]  # fmt: skip
    return {"layer": layer, "of": len(all_of_it), "images": shown.what, "maps": maps}


def _image(images: "Images", peak: "Peak") -> "Tensor":
    return images[peak.image : peak.image + 1]


def _pixels(image: "Tensor", stored: "Stored") -> "Tensor":
    import torch

    told = stored.file.header["input"]
    mean, std = (torch.tensor(told[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    return image * std + mean


def _images(stored: "Stored", given: Path | None) -> Shown:
    return _of_files(stored, given) if given is not None else _of_dataset(stored)


def _of_dataset(stored: "Stored") -> Shown:
    """The validation split of the dataset that the network was trained on, or that was typed for a file."""
    from convarium import datasets
    from convarium.cli.parity import images_of
    from convarium.cli.stored import store_of
    from convarium.measurement.quality import as_trained, check_fits
    from convarium.store.disk import beside

    config = stored.config
    store = store_of(config["runtime"])
    if stored.signature is not None:
        dataset, root = images_of(store, stored.signature, config)
    elif stored.has_dataset:
        dataset, root = config["dataset"], config["dataset"]["root"]
    else:
        raise UserError(f"{stored.path} doesn't say where its images are: add dataset=NAME, or --images FOLDER")
    check_fits(stored.file.header, dataset, config["task"], str(stored.path))
    scaled = datasets.scaled_for(stored.file.header, dataset)
    splits = datasets.load(scaled, root, ("validation",), beside(store.root))
    part = as_trained(splits.validation, splits, stored.file.header)
    return Shown(part.images, f"{len(part)} validation images of {dataset['name']}")


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and below, told by their bytes as a dataset of pictures tells them.

    Raises:
        UserError: there are none, or a folder can't be read.
    """
    from convarium.pictures.folder import below
    from convarium.pictures.identify import is_picture

    if not (found := [path for path in below(folder) if is_picture(path)]):
        raise UserError(f"--images {folder}: holds no pictures")
    return found


def _of_files(stored: "Stored", place: Path) -> Shown:
    """One picture, or all in a folder and below, cut square and resized as those of a folder of pictures are."""
    import numpy as np
    import torch

    from convarium.datasets.decode import MODES, decode
    from convarium.datasets.prepare import Lazy, Preparation
    from convarium.pictures.identify import NoPicture

    told = stored.file.header["input"]
    channels, side, _ = told["shape"]
    if channels not in MODES:
        raise UserError(f"--images: the network takes images of {channels} channels, pictures have 1 or 3")
    files = _pictures(place) if place.is_dir() else [place]
    pixels = []
    for path in files:
        try:
            pixels.append(decode(path, side, channels, value_range=told.get("value_range")))
        except NoPicture as error:
            raise UserError(f"--images {path}: {error}") from None
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    images = Lazy(stacked, Preparation(255, side, channels, tuple(told["mean"]), tuple(told["std"])))
    return Shown(images, f"{len(files)} pictures" if len(files) > 1 else files[0].name, [str(path) for path in files])
