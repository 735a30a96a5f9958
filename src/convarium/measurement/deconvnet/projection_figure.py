"""Projections as one figure: each beside the image that it comes from."""

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
    across = min(MAX_PROJECTIONS_PER_ROW, len(projections))
    down = -(-len(projections) // across)
    drawn = Figure(figsize=(2 * IMAGE_INCHES * across + 0.3, (IMAGE_INCHES + 0.3) * down + 0.6), layout="constrained")
    drawn.suptitle(title, fontsize="medium")
    axes = drawn.subplots(down, 2 * across, squeeze=False).flatten()
    for one in axes:
        one.set_axis_off()
    for place, (projection, image) in enumerate(zip(projections, images, strict=True)):
        _draw_image(axes[2 * place], image)
        _draw_frame(axes[2 * place], projection.pixels)
        axes[2 * place].set_title(
            f"map {projection.peak.map_index}: {projection.peak.activation:.3g}", fontsize="small"
        )
        strongest = projection.pixels.abs().amax().clamp(min=1e-30)
        _draw_image(axes[2 * place + 1], 0.5 + 0.5 * projection.pixels / strongest)
    drawn.savefig(path, format="png", dpi=120, metadata={"Software": author})


def _draw_image(axes: Axes, image: Tensor) -> None:
    pixels: NDArray[np.float32] = image.clamp(0, 1).permute(1, 2, 0).numpy()
    if pixels.shape[2] == 3:
        axes.imshow(pixels, interpolation="nearest")
    else:
        axes.imshow(pixels.mean(2), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_frame(axes: Axes, projection: Tensor) -> None:
    strength = projection.abs().amax(0)
    rows, columns = (strength > MIN_FRAMED_STRENGTH * strength.amax()).nonzero(as_tuple=True)
    if len(rows):
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor="tab:orange"))
