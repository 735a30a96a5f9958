"""The page of the catalogue: every system of the review, what runs it here, and the verdicts the project comes with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from cells import escaped

from convarium.catalogue.catalogue_document import build_catalogue_row
from convarium.catalogue.rows import get_main_section, read_catalogue_rows
from convarium.cli.catalogue import load_checks
from convarium.cli.catalogue_table import format_own_counts, format_paper_figures

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
with their reasons: [checks](results/checks.md). Of an architecture the parameters and multiply-accumulates are counted,
and held against what review and paper print: [architectures](results/architectures.md).
"""


def page() -> str:
    """Return the page as Markdown."""
    known = load_checks()
    found = [
        (_chapter(get_main_section(row)), build_catalogue_row(row, known.get(row.id), None))
        for row in read_catalogue_rows()
    ]
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
    of = Counter(row["status"] for row in found)
    built = sum(_runs_by(row) is not None for row in found)
    told_ = f"{len(found)} systems; {built} run here, {of['left out']} are left out, {of['not built']} are not built. "
    return f"{told_}Checks: {of['check holds']} hold, {of['check fails']} fail.\n"


def _table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if architectures := [row for row in found if row["kind"] == "architectures"]:
        head = ("section", "system", "runs by", "review", "paper", "ours", "verdict", "code, licence")
        yield from _lines(head, map(_architecture, architectures))
        yield ""
    if others := [row for row in found if row["kind"] != "architectures"]:
        yield from _lines(("section", "system", "runs by", "published", "ours", "verdict"), map(_other, others))


def _lines(head: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for line in cells:
        yield f"| {' | '.join(line)} |"


def _architecture(row: Mapping[str, Any]) -> Sequence[str]:
    verdict = escaped(row["verdict"])
    if row["check"]:
        verdict += f"<br>{'<br>'.join(part for part in _ours(row) if part)}"
    code = f"{row['code']}, {row['licence']}" if row["code"] else ""
    figures = (escaped(row["published"]), escaped(format_paper_figures(row)), escaped(format_own_counts(row)))
    return escaped(row["section"]), _system(row), _typed(row), *figures, verdict, code


def _other(row: Mapping[str, Any]) -> Sequence[str]:
    return escaped(row["section"]), _system(row), _typed(row), _published(row), *_ours(row)


def _system(row: Mapping[str, Any]) -> str:
    return f"**{row['id']}**<br>{escaped(row['name'])}{f' ({year})' if (year := row['year']) else ''}"


def _typed(row: Mapping[str, Any]) -> str:
    return f"`{runs_by}`" if (runs_by := _runs_by(row)) else str(row["status"])


def _runs_by(row: Mapping[str, Any]) -> str | None:
    return row["config"] or row["command"]


def _published(row: Mapping[str, Any]) -> str:
    asked = [f"**{claim['text']}** ({claim['direction']} is better)" for claim in row["claims"][:1] if row["check"]]
    return "<br>".join(part for part in (*asked, escaped(row["published"])) if part)


def _ours(row: Mapping[str, Any]) -> tuple[str, str]:
    ours = row["ours"]
    if not row["check"]:
        return "", "no check"
    if ours is None:
        return "", "not measured"
    figure = f"{ours['figure']:.4g} {row['claims'][0]['unit']}"
    delta = "" if ours["accuracy_delta_pp"] is None else f", {ours['accuracy_delta_pp']:+.2f} pp"
    signatures = "<br>" * bool(ours["signatures"]) + ", ".join(f"`{one}`" for one in ours["signatures"])
    verdict = "holds" if ours["holds"] else f"**fails**: {escaped('; '.join(ours['missed']))}"
    return f"{figure}{delta}{signatures}", verdict
