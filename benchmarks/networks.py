"""Small networks of the review's families, two epochs each: the table and three Pareto plots of `sweep=small_networks`.

    python benchmarks/networks.py [--output docs/results/networks.md] [overrides, such as dataset.root=data]

Runs the sweep (what is stored is not done again), then writes a page and, beside it, one plot for each cost: MACs,
bytes, latency. After two epochs the order says which network learns fast, not which is best in the end.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from families import ACCURACY, COSTS, MARKERS, Row, compared, convarium, figure, number, seconds

SWEEP = "sweep=small_networks"
PAGE = """# Small networks of different families

Made by `.venv/bin/python benchmarks/networks.py dataset.root=data`: `sweep=small_networks`, 10,000 images of
Fashion-MNIST at 32 pixels, two epochs of Adam, one seed; {minutes:,.0f} minutes in all on one core, shared with other
work but for the races. Accuracy is that of the 10,000 test images; latency that of one image, PyTorch eager, one
thread, absolute, in a quiet hour; what was void is left out. The dotted line joins the networks that nothing cheaper
equals. After two epochs the order tells which network learns fast. What the review names at ImageNet's size is
counted in `convarium catalogue`, not trained here.

{plots}

{table}
"""


def main() -> None:
    """Run the sweep and write page and plots."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/networks.md"))
    options, overrides = parser.parse_known_args()
    convarium("run", SWEEP, *overrides)
    rows = compared(overrides, SWEEP)
    plots = []
    for cost, title in COSTS.items():
        file = options.output.with_name(f"{options.output.stem}_{cost.split('_')[0]}.svg")
        plot(rows, cost, title).savefig(file, metadata={"Date": None})
        plots.append(f"![test accuracy against {title}]({file.name})")
    told = {"minutes": seconds(overrides, SWEEP) / 60, "plots": "\n\n".join(plots), "table": table(rows)}
    options.output.write_text(PAGE.format(**told))


def plot(rows: Sequence[Row], cost: str, title: str) -> Figure:
    """Return accuracy against a cost, a mark for each network, and the front of those that nothing cheaper equals."""
    drawn = Figure(figsize=(10, 5.5), layout="constrained")
    axes = drawn.add_subplot()
    for place, row in enumerate(row for row in rows if row[cost] and row[ACCURACY]):
        mark, colour = MARKERS[place % len(MARKERS)], colormaps["tab20"](place % 20)
        axes.plot(number(row, cost), number(row, ACCURACY), mark, color=colour, label=row["architecture"])
    front = list(cheapest(rows, cost))
    axes.step([number(row, cost) for row in front], [number(row, ACCURACY) for row in front], "k:", where="post")
    axes.set(xscale="log", xlabel=title, ylabel="test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", bbox_to_anchor=(1, 1), loc="upper left")
    return drawn


def cheapest(rows: Sequence[Row], cost: str) -> Iterator[Row]:
    """Yield the rows that are better than every cheaper one, the cheapest first."""
    best = float("-inf")
    for row in sorted((row for row in rows if row[cost] and row[ACCURACY]), key=lambda row: number(row, cost)):
        if number(row, ACCURACY) > best:
            best = number(row, ACCURACY)
            yield row


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, the best first."""
    lines = ["| network | test acc % | parameters | MACs | bytes | latency, ms |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -number(row, ACCURACY)):
        whole = (figure(row, key, "{:,.0f}") for key in ("parameters_count", "macs_per_image_count", "file_bytes"))
        cells = [row["architecture"], figure(row, ACCURACY, "{:.2f}"), *whole, figure(row, "latency_ms", "{:.2f}")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
