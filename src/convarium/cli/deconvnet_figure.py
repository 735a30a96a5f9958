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

Json = dict[str, Any]
DRAWN_BY_MARK = "convarium inspect"  # written into each figure
MARK_SEARCH_BYTES = 1024  # at the beginning of a PNG, where its author is written
DEFAULT_MAPS = 9


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images to look at.

    Attributes:
        images: (N, C, H, W), as the network takes them.
        description: of all images, for a person to read.
        file_names: of each image; None for images of a split.
    """

    images: "ImageTensors"
    description: str
    file_names: Sequence[str] | None = None

    def get_label(self, index: int) -> str | int:
        """Return the file of an image, or its index in the split."""
        return self.file_names[index] if self.file_names else index


def check_deconvnet_options(options: Namespace) -> None:
    """Refuse options that make no sense together, before anything heavy is imported.

    Raises:
        UserError: `--layer`, `--maps` or `--images` without `--deconvnet`; a target that is not named as a PNG, or that
            exists and was not drawn by this command; fewer than one map.
    """
    if options.deconvnet is None:
        for name in ("layer", "maps", "images"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name} says nothing without --deconvnet FILE.png")
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


def write_deconvnet_figure(inspected: "InspectedNetwork", options: Namespace) -> Json:
    """Draw the figure; return what it shows.

    Raises:
        UserError: the network is not trained, no chain of convolutions leads to the layer, the images can't be read, or
            the file can't be written.
    """
    from convarium.lookup import allow_packages
    from convarium.portable.atomic_file import write_atomically

    stored, target = inspected.stored, options.deconvnet
    if stored is None:
        raise UserError(
            "--deconvnet shows what a network has learnt, and this one is not trained: name a signature or a .cvm file"
        )
    try:
        with write_atomically(target) as path, allow_packages(stored.allowed_packages):
            return {"file": str(target), **_draw_figure(inspected, stored, options, path)}
    except OSError as error:
        if error.filename != str(target):
            raise
        raise UserError(f"--deconvnet {target}: can't be written: {error.strerror}") from None


def _draw_figure(inspected: "InspectedNetwork", stored: "InspectedFile", options: Namespace, path: Path) -> Json:
    import torch

    from convarium.measurement.deconvnet.call_path import select_default_layer, trace_calls, trace_path_to_image
    from convarium.measurement.deconvnet.projection import find_peaks, project_peak
    from convarium.measurement.deconvnet.projection_figure import draw_projections

    calls = trace_calls(inspected.network, torch.zeros(1, *inspected.shape))
    layer = options.layer or select_default_layer(calls)
    trace_path_to_image(calls, layer)  # raises where there is none, before images are loaded
    if options.images is not None:
        labelled = _load_image_files(stored, options.images)
    else:
        labelled = _load_validation_images(stored)
    all_peaks = find_peaks(inspected.network, layer, labelled.images)
    # A map that is nowhere above 0 has nothing to project: rectifiers on the way back would leave zeros.
    peaks = [peak for peak in all_peaks if peak.activation > 0][: options.maps or DEFAULT_MAPS]
    if not peaks:
        raise UserError(
            f"--layer {layer}: none of its {len(all_peaks)} maps is above 0 anywhere in {labelled.description}"
        )
    images = [labelled.images[peak.image_index : peak.image_index + 1] for peak in peaks]
    projections = [
        project_peak(inspected.network, layer, image, peak) for image, peak in zip(images, peaks, strict=True)
    ]
    counts = f"{len(peaks)} of {len(all_peaks)} maps"
    title = f"{inspected.architecture['name']}, layer {layer}: {counts}, {labelled.description}"
    pixels = [_denormalise(image, stored)[0] for image in images]
    draw_projections(path, DRAWN_BY_MARK, title, projections, pixels)
    maps = [
        {
            "map": projection.peak.map_index,
            "activation": projection.peak.activation,
            "image": labelled.get_label(projection.peak.image_index),
            "row": projection.map_position[0],
            "column": projection.map_position[1],
        }
        for projection in projections
    ]
    return {"layer": layer, "of": len(all_peaks), "images": labelled.description, "maps": maps}


def _denormalise(image: "Tensor", stored: "InspectedFile") -> "Tensor":
    import torch

    network_input = stored.file.header["input"]
    mean = torch.tensor(network_input["mean"]).reshape(1, -1, 1, 1)
    std = torch.tensor(network_input["std"]).reshape(1, -1, 1, 1)
    return image * std + mean


def _load_validation_images(stored: "InspectedFile") -> LabelledImages:
    """Return the validation split of the dataset that the network was trained on, or that was typed for a file."""
    from convarium.cli.parity_report import find_network_images
    from convarium.compose.store_access import open_store
    from convarium.datasets.loading import load_splits, match_value_range
    from convarium.measurement.measured_network import check_file_fits_dataset, normalise_for_network
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
    """Return the image files in a folder and below, recognised by their content as in a dataset of images.

    Raises:
        UserError: there are none, or a folder can't be read.
    """
    from convarium.datasets.folder_images.class_folders import walk_files
    from convarium.datasets.folder_images.probe_image import is_image_file

    paths = [path for path in walk_files(folder) if is_image_file(path)]
    if not paths:
        raise UserError(f"--images {folder}: holds no images")
    return paths


def _load_image_files(stored: "InspectedFile", file_or_folder: Path) -> LabelledImages:
    """Return one image, or all in a folder and below, cropped and resized as those of a dataset of images."""
    import numpy as np
    import torch

    from convarium.datasets.folder_images.probe_image import UnreadableImage
    from convarium.datasets.image_decoding import MODE_OF_CHANNELS, decode_image
    from convarium.datasets.image_preparation import ImagePreparation, LazyImages

    network_input = stored.file.header["input"]
    channels, side, _ = network_input["shape"]
    if channels not in MODE_OF_CHANNELS:
        raise UserError(f"--images: the network takes images of {channels} channels, files are read as 1 or 3")
    files = _list_image_files(file_or_folder) if file_or_folder.is_dir() else [file_or_folder]
    pixels = []
    for path in files:
        try:
            pixels.append(decode_image(path, side, channels, value_range=network_input.get("value_range")))
        except UnreadableImage as error:
            raise UserError(f"--images {path}: {error}") from None
    pixel_tensor = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    mean, std = tuple(network_input["mean"]), tuple(network_input["std"])
    images = LazyImages(pixel_tensor, ImagePreparation(255, side, channels, mean, std))
    description = f"{len(files)} images" if len(files) > 1 else files[0].name
    return LabelledImages(images, description, [str(path) for path in files])
