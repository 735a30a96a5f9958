"""What `inspect --deconvnet` does: the images, the figure of a layer's strongest maps, and where they are written."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from convarium.cli.inspected_network import InspectedFile, InspectedNetwork
    from convarium.datasets.splits import ImageTensors
    from convarium.measurement.deconvnet.projection import Peak

Json = dict[str, Any]
DRAWN_BY_MARK = "convarium inspect"  # written into each figure
MARK_SEARCH_BYTES = 1024  # bytes of a figure in which that stands


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images (N, C, H, W) as the network takes them, what they are, and what each of a list is called."""

    images: "ImageTensors"
    description: str
    file_names: Sequence[str] | None = None

    def get_label(self, index: int) -> str | int:
        """Return the file of an image, or its place in the split."""
        return self.file_names[index] if self.file_names else index


def check_deconvnet_options(options: Namespace) -> None:
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
    if options.deconvnet.is_file() and not _is_own_figure(options.deconvnet):
        raise UserError(
            f"--deconvnet {options.deconvnet}: is the file to write, and one is there that was not drawn by inspect; "
            f"images to look at are --images {options.deconvnet}"
        )


def _is_own_figure(figure_path: Path) -> bool:
    try:
        with figure_path.open("rb") as file:
            return DRAWN_BY_MARK.encode() in file.read(MARK_SEARCH_BYTES)
    except OSError as error:
        raise UserError(f"--deconvnet {figure_path}: can't be written: {error.strerror}") from None


def write_deconvnet_figure(subject: "InspectedNetwork", options: Namespace) -> Json:
    """Draw the figure; return what it shows.

    Raises:
        UserError: the network is not trained, its layer no chain of convolutions, the images or the file can't be had.
    """
    from convarium.lookup import allow_packages
    from convarium.portable.atomic_file import write_atomically

    stored, target = subject.stored, options.deconvnet
    if stored is None:
        raise UserError(
            "--deconvnet shows what a network has learnt, and this one is not trained: name a signature or a .cvm file"
        )
    try:
        with write_atomically(target) as path, allow_packages(stored.allowed_packages):
            return {"file": str(target), **_draw_figure(subject, stored, options, path)}
    except OSError as error:
        if error.filename != str(target):
            raise
        raise UserError(f"--deconvnet {target}: can't be written: {error.strerror}") from None


def _draw_figure(subject: "InspectedNetwork", stored: "InspectedFile", options: Namespace, path: Path) -> Json:
    import torch

    from convarium.measurement.deconvnet.call_path import select_default_layer, trace_calls, trace_path_to_image
    from convarium.measurement.deconvnet.projection import find_peaks, project_peak
    from convarium.measurement.deconvnet.projection_figure import draw_projections

    found = trace_calls(subject.network, torch.zeros(1, *subject.shape))
    layer = options.layer or select_default_layer(found)
    trace_path_to_image(found, layer)
    shown = _load_images(stored, options.images)
    all_of_it = find_peaks(subject.network, layer, shown.images)
    strong = [peak for peak in all_of_it if peak.activation > 0][: options.maps or 9]
    if not strong:
        raise UserError(
            f"--layer {layer}: none of its {len(all_of_it)} maps is above 0 anywhere in {shown.description}"
        )
    images = [_take_peak_image(shown.images, peak) for peak in strong]
    drawn = [project_peak(subject.network, layer, image, peak) for image, peak in zip(images, strong, strict=True)]
    title = f"{subject.architecture['name']}, layer {layer}: {len(strong)} of {len(all_of_it)} maps"
    draw_projections(
        path,
        DRAWN_BY_MARK,
        f"{title}, {shown.description}",
        drawn,
        [_denormalise(image, stored)[0] for image in images],
    )
    maps = [
        {
            "map": one.peak.map_index,
            "activation": one.peak.activation,
            "image": shown.get_label(one.peak.image_index),
            "row": one.map_position[0],
            "column": one.map_position[1],
        }
        for one in drawn
    ]
    return {"layer": layer, "of": len(all_of_it), "images": shown.description, "maps": maps}


def _take_peak_image(images: "ImageTensors", peak: "Peak") -> "Tensor":
    return images[peak.image_index : peak.image_index + 1]


def _denormalise(image: "Tensor", stored: "InspectedFile") -> "Tensor":
    import torch

    told = stored.file.header["input"]
    mean, std = (torch.tensor(told[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    return image * std + mean


def _load_images(stored: "InspectedFile", images_path: Path | None) -> LabelledImages:
    return _load_image_files(stored, images_path) if images_path is not None else _load_validation_images(stored)


def _load_validation_images(stored: "InspectedFile") -> LabelledImages:
    """The validation split of the dataset that the network was trained on, or that was typed for a file."""
    from convarium.cli.parity_report import find_network_images
    from convarium.compose.store_access import open_store
    from convarium.datasets.loading import load_splits, match_value_range
    from convarium.measurement.quality import check_file_fits_dataset, normalise_for_network
    from convarium.store.disk import cache_folder_of

    config = stored.config
    store = open_store(config["runtime"])
    if stored.signature is not None:
        dataset, root = find_network_images(store, stored.signature, config)
    elif stored.has_dataset:
        dataset, root = config["dataset"], config["dataset"]["root"]
    else:
        raise UserError(f"{stored.path} doesn't say where its images are: add dataset=NAME, or --images FOLDER")
    check_file_fits_dataset(stored.file.header, dataset, config["task"], str(stored.path))
    scaled = match_value_range(stored.file.header, dataset)
    splits = load_splits(scaled, root, ("validation",), cache_folder_of(store.root))
    part = normalise_for_network(splits.validation, splits, stored.file.header)
    return LabelledImages(part.images, f"{len(part)} validation images of {dataset['name']}")


def _list_image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and below, told by their bytes as a dataset of images tells them.

    Raises:
        UserError: there are none, or a folder can't be read.
    """
    from convarium.datasets.folder_images.class_folders import walk_files
    from convarium.datasets.folder_images.probe_image import is_image_file

    if not (found := [path for path in walk_files(folder) if is_image_file(path)]):
        raise UserError(f"--images {folder}: holds no images")
    return found


def _load_image_files(stored: "InspectedFile", file_or_folder: Path) -> LabelledImages:
    """One image, or all in a folder and below, cut square and resized as those of a folder of images are."""
    import numpy as np
    import torch

    from convarium.datasets.folder_images.probe_image import UnreadableImage
    from convarium.datasets.image_decoding import MODE_OF_CHANNELS, decode_image
    from convarium.datasets.image_preparation import ImagePreparation, LazyImages

    told = stored.file.header["input"]
    channels, side, _ = told["shape"]
    if channels not in MODE_OF_CHANNELS:
        raise UserError(f"--images: the network takes images of {channels} channels, files are read as 1 or 3")
    files = _list_image_files(file_or_folder) if file_or_folder.is_dir() else [file_or_folder]
    pixels = []
    for path in files:
        try:
            pixels.append(decode_image(path, side, channels, value_range=told.get("value_range")))
        except UnreadableImage as error:
            raise UserError(f"--images {path}: {error}") from None
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    images = LazyImages(stacked, ImagePreparation(255, side, channels, tuple(told["mean"]), tuple(told["std"])))
    return LabelledImages(
        images, f"{len(files)} images" if len(files) > 1 else files[0].name, [str(path) for path in files]
    )
