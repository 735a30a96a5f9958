"""The page of the catalogue: every system of the review, what runs it here, and the verdicts the project comes with."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from cells import escaped

from convarium.catalogue.document import told
from convarium.catalogue.rows import main_section, rows
from convarium.cli.catalogue import checks

SECTIONS = {
    "1": "Early networks",
    "2": "Building blocks",
    "3": "Architectures",
    "4": "Compression",
    "5": "Architecture search",
    "6": "Applications",
    "7": "Demands on future work",
    "": "Beside the review",
}
HEAD = """# Catalogue

Generated from the tables that `convarium catalogue` prints. What is published: [A] and [V] agree with the paper's
abstract, [R] is as the review states it, [M] was not checked. A check is a sweep with its pass condition
(`sweeps/checks/ROW.yaml`); `convarium catalogue --check ROW` runs it again. A check that fails stays here. Verdicts
with their reasons: [checks](results/checks.md).
"""


def page() -> str:
    """Return the page as Markdown."""
    known = checks()
    found = [(_chapter(main_section(row)), told(row, known.get(row.id), None)) for row in rows()]
    found.sort(key=lambda one: ([*SECTIONS].index(one[0]), one[1]["section"]))
    parts = [HEAD, _summary([row for _, row in found])]
    for chapter, members in groupby(found, key=lambda one: one[0]):
        parts.append(f"## {chapter} {SECTIONS[chapter]}\n".replace("  ", " "))
        parts.append("\n".join(_table([row for _, row in members])) + "\n")
    return "\n".join(parts)


def _chapter(section: str) -> str:
    """The review's chapter; its tables (T3, T5) are of networks."""
    first = "3" if section.startswith("T") else section[:1]
    return first if first in SECTIONS else ""


def _summary(found: Sequence[Mapping[str, Any]]) -> str:
    counts = {status: sum(row["status"] == status for row in found) for status in ("check holds", "check fails")}
    built = sum(row["config"] is not None for row in found)
    told_ = f"{len(found)} systems; {built} run here, {len(found) - built} are not built. "
    return f"{told_}Checks: {counts['check holds']} hold, {counts['check fails']} fail.\n"


def _table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| section | system | runs by | published | ours | verdict |"
    yield "|---|---|---|---|---|---|"
    for row in found:
        system = f"**{row['id']}**<br>{escaped(row['name'])}{f' ({year})' if (year := row['year']) else ''}"
        config = f"`{row['config']}`" if row["config"] else "not built"
        ours, verdict = _ours(row)
        cells = (escaped(row["section"]), system, config, _published(row), ours, verdict)
        yield f"| {' | '.join(cells)} |"


def _published(row: Mapping[str, Any]) -> str:
    words = escaped(row["published"])
    counts = f"{row['parameters']:,} parameters" if row["parameters"] is not None else ""
    counts += f", {row['macs']:,} MACs at {row['input']}" if row["macs"] is not None else ""
    asked = [f"**{claim['text']}** ({claim['direction']} is better)" for claim in row["claims"][:1] if row["check"]]
    return "<br>".join(part for part in (*asked, words, counts) if part)


def _ours(row: Mapping[str, Any]) -> tuple[str, str]:
    ours = row["ours"]
    if not row["check"]:
        return "", "no check"
    if ours is None:
        return "", "not measured"
    figure = f"{ours['figure']:.4g} {row['claims'][0]['unit']}"
    points = "" if ours["points"] is None else f", {ours['points']:+.2f} points"
    signatures = ", ".join(f"`{one}`" for one in ours["signatures"])
    verdict = "holds" if ours["holds"] else f"**fails**: {escaped('; '.join(ours['missed']))}"
    return f"{figure}{points}<br>{signatures}", verdict
