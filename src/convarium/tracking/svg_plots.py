"""Small plots of a run as SVG text, which MLflow's page shows as images, and which need no plotting library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 280  # of a panel with a curve, in pixels
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 30, 34  # margins of such a panel
BAR_PITCH = 30
BAR_LEFT, BAR_RIGHT = 120, 140  # room for the names on the left, for the bytes on the right
SERIES_COLOURS = ("#2a6fb0", "#c4562d", "#3d8f5f", "#8a5fb0", "#b08a2a", "#6b7780", "#2aa0a8")
SVG_FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
)

Curve = Sequence[tuple[int, float]]  # pairs of an epoch and a value


@dataclass(frozen=True)
class _Axes:
    """The axes of one curve's panel: pixels from epochs and values.

    Attributes:
        offset: the panel's upper edge in pixels.
    """

    offset: int
    first_epoch: int
    last_epoch: int
    low: float
    high: float

    @property
    def top(self) -> int:
        return self.offset + TOP

    @property
    def bottom(self) -> int:
        return self.offset + HEIGHT - BOTTOM

    @property
    def right(self) -> int:
        return WIDTH - RIGHT

    def get_x(self, epoch: float) -> str:
        """Return the pixels from the left to an epoch."""
        epoch_count = (self.last_epoch - self.first_epoch) or 1
        return f"{LEFT + (self.right - LEFT) * (epoch - self.first_epoch) / epoch_count:.1f}"

    def get_y(self, value: float) -> str:
        """Return the pixels from the top to a value."""
        value_range = (self.high - self.low) or 1
        return f"{self.bottom - (self.bottom - self.top) * (value - self.low) / value_range:.1f}"


def draw_curves(curves: Mapping[str, Curve], phase_starts: Mapping[int, str]) -> str:
    """Return a panel for each curve over the epochs; `phase_starts` names the phases by the epochs before them."""
    panels = [_draw_panel(name, curve, phase_starts, row) for row, (name, curve) in enumerate(curves.items())]
    return SVG_FRAME.format(width=WIDTH, height=HEIGHT * max(1, len(panels)), body="".join(panels))


def draw_bars(bytes_by_kind: Mapping[str, float]) -> str:
    """Return a bar for each kind of bytes, the longest first."""
    bars = [(kind, size) for kind, size in bytes_by_kind.items() if size > 0]
    bars.sort(key=lambda bar: -bar[1])
    max_size = max((size for _, size in bars), default=1)
    body = "".join(_draw_bar(row, kind, size, max_size) for row, (kind, size) in enumerate(bars))
    return SVG_FRAME.format(width=WIDTH, height=BAR_PITCH * len(bars) + 20, body=body)


def _draw_bar(row: int, kind: str, size: float, max_size: float) -> str:
    y = 10 + BAR_PITCH * row
    width = (WIDTH - BAR_LEFT - BAR_RIGHT) * size / max_size
    return (
        f'<text x="{BAR_LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(kind)}</text>'
        f'<rect x="{BAR_LEFT}" y="{y + 3}" width="{max(width, 1):.1f}" height="20" fill="{_get_colour(row)}"/>'
        f'<text x="{BAR_LEFT + 5 + width:.1f}" y="{y + 17}">{size:,.0f} bytes</text>'
    )


def _draw_panel(name: str, curve: Curve, phase_starts: Mapping[int, str], row: int) -> str:
    epochs = [epoch for epoch, _ in curve]
    values = [value for _, value in curve]
    axes = _Axes(row * HEIGHT, min(epochs), max(epochs), min(values), max(values))
    phase_marks = [_draw_phase_start(axes, epoch, phase) for epoch, phase in phase_starts.items()]
    line = " ".join(f"{axes.get_x(epoch)},{axes.get_y(value)}" for epoch, value in curve)
    polyline = f'<polyline points="{line}" fill="none" stroke="{_get_colour(row)}" stroke-width="2"/>'
    return "".join([_draw_axes(axes, name), *phase_marks, polyline])


def _draw_axes(axes: _Axes, name: str) -> str:
    return (
        f'<text x="{LEFT}" y="{axes.offset + 18}" font-weight="bold">{escape(name)}</text>'
        f'<path d="M{LEFT} {axes.top}V{axes.bottom}H{axes.right}" fill="none" stroke="#888"/>'
        f'<text x="{LEFT - 6}" y="{axes.top + 8}" text-anchor="end">{axes.high:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{axes.bottom}" text-anchor="end">{axes.low:.4g}</text>'
        f'<text x="{axes.right}" y="{axes.bottom + 16}" text-anchor="end">epoch {axes.last_epoch}</text>'
    )


def _draw_phase_start(axes: _Axes, epoch: int, phase: str) -> str:
    """Return a dashed line and a phase's name, half an epoch after the last epoch before the phase."""
    x = axes.get_x(max(epoch + 0.5, axes.first_epoch))
    return (
        f'<path d="M{x} {axes.top}V{axes.bottom}" stroke="#ccc" stroke-dasharray="4 3"/>'
        f'<text x="{x}" y="{axes.bottom + 16}" fill="#666" font-size="10">{escape(phase)}</text>'
    )


def _get_colour(row: int) -> str:
    return SERIES_COLOURS[row % len(SERIES_COLOURS)]
