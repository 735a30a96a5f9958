"""Small plots of a run as SVG: MLflow's page shows them as they are, and they cost no plotting library."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 280, 64, 30, 34
SERIES_COLOURS = ("#2a6fb0", "#c4562d", "#3d8f5f", "#8a5fb0", "#b08a2a", "#6b7780", "#2aa0a8")
SVG_FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
)


def draw_curves(series: Mapping[str, Sequence[tuple[int, float]]], phase_starts: Mapping[int, str]) -> str:
    """Return one panel for each series over epochs; `phase_starts` names the phase that begins after an epoch."""
    panels = [_draw_panel(name, points, phase_starts, row) for row, (name, points) in enumerate(series.items())]
    return SVG_FRAME.format(width=WIDTH, height=HEIGHT * max(1, len(panels)), body="".join(panels))


def draw_bars(parts: Mapping[str, float]) -> str:
    """Return a bar for each kind of bytes, largest first."""
    rows = sorted(((name, size) for name, size in parts.items() if size > 0), key=lambda row: -row[1])
    largest = max((size for _, size in rows), default=1)
    body = "".join(_draw_bar(row, name, size, largest) for row, (name, size) in enumerate(rows))
    return SVG_FRAME.format(width=WIDTH, height=30 * len(rows) + 20, body=body)


def _draw_bar(row: int, name: str, size: float, largest: float) -> str:
    y, width = 10 + 30 * row, (WIDTH - 260) * size / largest
    colour = SERIES_COLOURS[row % len(SERIES_COLOURS)]
    return (
        f'<text x="110" y="{y + 17}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="120" y="{y + 3}" width="{max(width, 1):.1f}" height="20" fill="{colour}"/>'
        f'<text x="{125 + width:.1f}" y="{y + 17}">{size:,.0f} bytes</text>'
    )


def _draw_panel(name: str, points: Sequence[tuple[int, float]], phase_starts: Mapping[int, str], row: int) -> str:
    offset = row * HEIGHT
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    bottom, right = offset + HEIGHT - BOTTOM, WIDTH - 16

    def place(step: float, value: float) -> str:
        x = LEFT + (right - LEFT) * (step - first) / ((last - first) or 1)
        y = bottom - (bottom - offset - TOP) * (value - low) / ((high - low) or 1)
        return f"{x:.1f},{y:.1f}"

    marks = [
        f'<text x="{LEFT}" y="{offset + 18}" font-weight="bold">{escape(name)}</text>',
        f'<path d="M{LEFT} {offset + TOP}V{bottom}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{LEFT - 6}" y="{offset + TOP + 8}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">epoch {last}</text>',
    ]
    for step, phase in phase_starts.items():
        x = place(max(step + 0.5, first), low).partition(",")[0]
        marks.append(f'<path d="M{x} {offset + TOP}V{bottom}" stroke="#ccc" stroke-dasharray="4 3"/>')
        marks.append(f'<text x="{x}" y="{bottom + 16}" fill="#666" font-size="10">{escape(phase)}</text>')
    line = " ".join(place(step, value) for step, value in points)
    marks.append(
        f'<polyline points="{line}" fill="none" stroke="{SERIES_COLOURS[row % len(SERIES_COLOURS)]}" stroke-width="2"/>'
    )
    return "".join(marks)
