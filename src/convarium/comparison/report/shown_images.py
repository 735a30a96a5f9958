"""The test images that a page shows, as small PNG files inside it."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError
from convarium.store.disk import cache_folder_of
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store

Json = dict[str, Any]
MAX_SIDE = 64  # pixels
MAX_PAGE_IMAGE_BYTES = 2_000_000  # of all images of a page


@dataclass(eq=False)
class ShownImages:
    """Images of one dataset, which rows ask for by their places among its test images.

    Attributes:
        dataset: its config, without a root.
        labels: of all its test images when they were measured.
        network: the folder of a network that was measured on them.
        rankings: of each row that shows some, their places, the costliest first.
    """

    dataset: Mapping[str, Any]
    root: str | None
    labels: NDArray[Any]
    network: Path | None
    rankings: list[list[int]] = field(default_factory=list)

    def list_wanted(self) -> list[int]:
        """Return the images that rows ask for: first the costliest of each row, then each one's second."""
        most = max(map(len, self.rankings), default=0)
        ranks = [[ranking[rank] for ranking in self.rankings if rank < len(ranking)] for rank in range(most)]
        return list(dict.fromkeys(image for images in ranks for image in images))

    def read_pixels(self, indices: Sequence[int], store: Store) -> NDArray[np.uint8]:
        """Return the images at `indices`, uint8 (n, H, W, C).

        Raises:
            UserError: they are not here any more.
        """
        from convarium.datasets.image_samples import read_test_samples

        dataset = self._scale_as_measured()
        return read_test_samples(dataset, indices, self.labels, self.root, cache_folder_of(store.root))

    def _scale_as_measured(self) -> Mapping[str, Any]:
        """Return the dataset; of images of more than 8 bits with the range of values that the network was made for."""
        if "value_range" not in self.dataset or self.network is None:
            return self.dataset
        from convarium.cvm import container
        from convarium.datasets.loading import match_value_range

        return match_value_range(container.read_cvm(ResultFolder(self.network).network).header, self.dataset)


def build_image_sets(image_sets: Iterable[ShownImages], store: Store) -> list[Json]:
    """Return for each dataset `images`, by place a data URI, and `problem`: why there are none, or not all."""
    documents = []
    free_bytes = MAX_PAGE_IMAGE_BYTES
    for image_set in image_sets:
        document = _build_image_set(image_set, store, free_bytes)
        free_bytes -= sum(map(len, document["images"].values()))
        documents.append(document)
    return documents


def _build_image_set(image_set: ShownImages, store: Store, free_bytes: int) -> Json:
    wanted = image_set.list_wanted()
    images: dict[str, str] = {}
    if not wanted:
        return {"images": images, "problem": None}
    try:
        pixels = image_set.read_pixels(wanted, store)
    except (UserError, OSError, ImportError) as error:
        reason = " ".join(str(error).split())
        return {"images": images, "problem": f"the images can't be opened any more: {reason}"}
    for image, image_pixels in zip(wanted, pixels, strict=True):
        uri = encode_png_uri(image_pixels)
        free_bytes -= len(uri)
        if free_bytes < 0:
            return {"images": images, "problem": f"a page holds {MAX_PAGE_IMAGE_BYTES:,} bytes of images at most"}
        images[str(image)] = uri
    return {"images": images, "problem": None}


def encode_png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return an image (H, W, C) of one or three channels as the data URI of a PNG of at most MAX_SIDE a side."""
    from PIL import Image

    channels = pixels.shape[-1]
    image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
