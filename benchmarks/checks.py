"""Every check of the catalogue: its sweep is made, its figure held against what is published, its verdict kept.

    python benchmarks/checks.py [--keep] [--output docs/results/checks.md] [OVERRIDE …]      (such as dataset.root=data)
    python benchmarks/checks.py --stored --output docs/results/checks.md

Prints the page, or writes it. `--keep` puts each verdict, as soon as it is there, into
src/convarium/catalogue/verdicts.json, from where `convarium catalogue` and the docs take it. A check that could not be
made keeps the verdict it had, and the exit code is 1; one that fails stays on the page. `--stored` runs nothing: it is
the page of the verdicts that are kept.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convarium.catalogue.catalogue_document import build_catalogue_row
from convarium.catalogue.rows import read_catalogue_rows
from convarium.cli.catalogue import CHECK_SWEEP_PREFIX, load_checks
from convarium.compose import sweeps

KEPT = Path(__file__).parents[1] / "src/convarium/catalogue/verdicts.json"
Json = dict[str, Any]
PAGE = """# Checks

Made by `.venv/bin/python benchmarks/checks.py --keep --output docs/results/checks.md dataset.root=data`; one of them is
made again by `convarium catalogue --check ROW dataset.root=data`. A check is a sweep with the condition under which the
published claim is taken to hold here (`sweeps/checks/ROW.yaml`). Δ acc is of test accuracy, to the dense network.
{holds} hold, {fails} fail, {missing} are not measured. A check that fails stays here.

| row | claim | published | ours | Δ acc (pp) | holds if | verdict | signatures |
|---|---|---|---|---|---|---|---|
{table}

What each sweep is:

{sweeps}
"""


def main() -> int:
    """Make the checks and write the page; return 1 if one could not be made."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--stored", action="store_true")
    parser.add_argument("--output", type=Path)
    options, overrides = parser.parse_known_args()
    known = load_checks()
    found = {} if options.stored else dict(all_made(known, overrides, options.keep))
    text = page(known, found)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0 if options.stored or len(found) == len(known) else 1


def all_made(known: Mapping[str, Json], overrides: list[str], kept: bool) -> Iterator[tuple[str, Json]]:
    """Make one check after the other, and keep its verdict if it is to be kept."""
    for name, check in known.items():
        if (ours := made(name, overrides)) is not None:
            if kept:
                keep(name, ours, check)
            yield name, ours


def made(row: str, overrides: list[str]) -> Json | None:
    """Run a row's check; return its verdict, None where it could not be made."""
    line = [sys.executable, "-m", "convarium", "catalogue", "--check", row, "--json", *overrides]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        return None
    found: Json = json.loads(done.stdout)["rows"][0]["ours"]
    return found


def keep(name: str, ours: Json, check: Json) -> None:
    """Put a verdict into the file that comes with the project, without what is of this machine."""
    verdicts: dict[str, Json] = json.loads(KEPT.read_text(encoding="utf-8"))
    verdicts[name] = {key: value for key, value in ours.items() if key not in ("from", "overrides")} | {"check": check}
    KEPT.write_text(json.dumps(dict(sorted(verdicts.items())), indent=2) + "\n", encoding="utf-8")


def page(known: Mapping[str, Json], found: Mapping[str, Json]) -> str:
    """Return the page: of each check what was found now, else the verdict that the project comes with."""
    by_id = {row.id: row for row in read_catalogue_rows() if row.id in known}
    every = {
        name: found.get(name) or build_catalogue_row(by_id[name], check, None)["ours"] for name, check in known.items()
    }
    verdicts = [None if ours is None else bool(ours["holds"]) for ours in every.values()]
    return PAGE.format(
        holds=verdicts.count(True),
        fails=verdicts.count(False),
        missing=verdicts.count(None),
        table="\n".join(line(name, known[name], ours) for name, ours in every.items()),
        sweeps="\n".join(
            f"- `{name}`: {sweeps.read_sweep(f'{CHECK_SWEEP_PREFIX}{name}')[1]['description']}" for name in known
        ),
    )


def line(name: str, check: Json, ours: Json | None) -> str:
    """Return a row of the table."""
    cells = [f"`{name}`", check["unit"], f"{check['published']:g}"]
    if ours is None:
        cells += ["not measured", "", asked(check), "", ""]
    else:
        delta = "" if ours["accuracy_delta_pp"] is None else f"{ours['accuracy_delta_pp']:+.2f}"
        verdict = "holds" if ours["holds"] else f"**fails**: {'; '.join(ours['missed'])}"
        signatures = ", ".join(f"`{one}`" for one in ours["signatures"])
        cells += [f"{ours['figure']:.3g}", delta, asked(check), verdict, signatures]
    return f"| {' | '.join(cells)} |"


def asked(check: Json) -> str:
    """Say under which conditions a check holds."""
    parts = [f"`{one}`" for one in check["holds"]]
    if (most := check["most_lost"]) is not None:
        parts.append(f"at most {most:g} pp lost" if most >= 0 else f"at least {-most:g} pp gained")
    if (least := check["least_shown"]) is not None:
        parts.append(f"the interval of Δ accuracy above {least:g}")
    parts += [f"better than {' → '.join(chain) or 'the dense network'}" for chain in check["better_than"] or []]
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
