"""Every check of the catalogue: its sweep is made, its figure held against what is published, its verdict kept.

usage: python benchmarks/checks.py [--keep] [OVERRIDE …]      (such as dataset.root=data)

Prints a line a row, failed checks too. `--keep` writes the verdicts into src/convarium/catalogue/verdicts.json, from
where `convarium catalogue` and the docs take them; a row that could not be made keeps the verdict it had.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from convarium.cli.catalogue import checks

KEPT = Path(__file__).parents[1] / "src/convarium/catalogue/verdicts.json"
Json = dict[str, Any]


def made(row: str, overrides: list[str]) -> Json | None:
    """Run a row's check; return the row as `convarium catalogue --json` has it, None where it could not be made."""
    line = [sys.executable, "-m", "convarium", "catalogue", "--check", row, "--json", *overrides]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    found: Json | None = json.loads(done.stdout)["rows"][0] if done.returncode in (0, 1) and done.stdout else None
    return found


def told(row: Json) -> str:
    """Return a row of the Markdown table."""
    claim, ours = row["claims"][0], row["ours"]
    points = "" if ours["points"] is None else f"{ours['points']:+.2f}"
    verdict = "holds" if ours["holds"] else f"**fails**: {'; '.join(ours['missed'])}"
    signatures = ", ".join(f"`{one}`" for one in ours["signatures"])
    cells = (
        f"`{row['id']}`",
        claim["unit"],
        f"{claim['figure']:g}",
        f"{ours['figure']:.3g}",
        points,
        verdict,
        signatures,
    )
    return f"| {' | '.join(cells)} |"


def keep(found: dict[str, Json], known: dict[str, Json]) -> None:
    """Put verdicts into the file that comes with the project, without what is of this machine."""
    verdicts: dict[str, Json] = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, row in found.items():
        ours = {key: value for key, value in row["ours"].items() if key not in ("from", "overrides")}
        verdicts[name] = {**ours, "check": known[name]}
    KEPT.write_text(json.dumps(dict(sorted(verdicts.items())), indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Print the table; return 1 if a check could not be made."""
    overrides = [text for text in sys.argv[1:] if text != "--keep"]
    known = checks()
    print("| row | figure | published | ours | points to dense | verdict | signatures |")
    print("|---|---|---|---|---|---|---|")
    found = {}
    for name in known:
        if (row := made(name, overrides)) is not None:
            found[name] = row
            print(told(row), flush=True)
    if "--keep" in sys.argv:
        keep(found, known)
    return 0 if len(found) == len(known) else 1


if __name__ == "__main__":
    sys.exit(main())
