"""A figure of projections, each next to the image that it comes from."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from convarium.measurement.deconvnet.projection import Projection

MAX_PROJECTIONS_PER_ROW = 3
IMAGE_INCHES = 1.7
MIN_FRAMED_STRENGTH = 0.01  # of the strongest pixel: what is weaker is not framed


def draw_projections(
    path: Path, author: str, title: str, projections: Sequence[Projection], images: Sequence[Tensor]
) -> None:
    """Write a PNG: for each projection its image (C, H, W; values in 0..1) and, right of it, the projection.

    The file says that `author` drew it. A frame in the image encloses what the unit saw of it. A projection is grey
    where it is 0, and scaled by itself.
    """
    pairs_per_row = min(MAX_PROJECTIONS_PER_ROW, len(projections))
    row_count = math.ceil(len(projections) / pairs_per_row)
    width = 2 * IMAGE_INCHES * pairs_per_row + 0.3
    height = (IMAGE_INCHES + 0.3) * row_count + 0.6
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    axes = figure.subplots(row_count, 2 * pairs_per_row, squeeze=False).flatten()
    for cell in axes:
        cell.set_axis_off()
    for index, (projection, image) in enumerate(zip(projections, images, strict=True)):
        image_axes, projection_axes = axes[2 * index], axes[2 * index + 1]
        _draw_image(image_axes, image)
        _draw_frame(image_axes, projection.pixels)
        peak = projection.peak
        image_axes.set_title(f"map {peak.map_index}: {peak.activation:.3g}", fontsize="small")
        strongest_pixel = projection.pixels.abs().amax().clamp(min=1e-30)
        _draw_image(projection_axes, 0.5 + 0.5 * projection.pixels / strongest_pixel)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": author})


def _draw_image(axes: Axes, image: Tensor) -> None:
    pixels: NDArray[np.float32] = image.clamp(0, 1).permute(1, 2, 0).numpy()
    if pixels.shape[2] == 3:
        axes.imshow(pixels, interpolation="nearest")
    else:
        axes.imshow(pixels.mean(2), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_frame(axes: Axes, projection: Tensor) -> None:
    strength = projection.abs().amax(0)
    is_framed = strength > MIN_FRAMED_STRENGTH * strength.amax()
    rows, columns = is_framed.nonzero(as_tuple=True)
    if len(rows):
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor="tab:orange"))
