"""The page of all options: every group, option and knob as `conf/` has them, with the rule that checks each value."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cells import escaped

from convarium.config import search_path
from convarium.config.checker import derive_field_rules
from convarium.config.messages import format_value
from convarium.config.option_file import list_inherited_files, read_option
from convarium.config.rules import MUST_BE_SET, Rule, parse_knob_rule
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig

FIRST = ("architecture", "dataset", "recipe", "compression", "term", "budget", "measurement", "runtime", "tracking")
SCHEMA: Mapping[str, type] = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}
COMMENT = re.compile(r"^( *)([a-z]\w*):.*?\s+#\s+(.*)$")
KEY = re.compile(r"^( *)([a-z]\w*):")
NO_KNOBS = ("defaults", "method", "version", "phases", "name", "source")
HEAD = """# Options

Generated from `conf/` and from the schema that checks what is typed. `group=option` chooses an option,
`group.knob=value` sets a knob (`compression.magnitude.sparsity=0.8` for a method), a comma sweeps, and short names are
completed. `null` leaves a value to what the note says. Options of your own lie in `./conf/<group>/`.
"""


@dataclass
class Option:
    """One file of `conf/`: its head, what it sets, and the words beside each knob."""

    head: str
    values: dict[str, Any]
    comments: dict[str, str] = field(default_factory=dict)


def page() -> str:
    """Return the page as Markdown."""
    conf = search_path.find_builtin_folder("conf")
    groups = [*FIRST, *(group for group in search_path.list_config_groups() if group not in FIRST)]
    return "\n".join([HEAD, *(line for group in groups for line in _group(conf, group))])


def _group(conf: Path, group: str) -> Iterator[str]:
    yield f"## {group}\n"
    if (default := _default(conf, group)) is not None:
        yield f"Default: `{group}={default}`.\n"
    for name in search_path.list_config_names(conf / group):
        yield from _section(conf, group, name)


def _default(conf: Path, group: str) -> str | None:
    chosen = yaml.safe_load((conf / "convarium.yaml").read_text(encoding="utf-8"))["defaults"]
    return next((one[group] for one in chosen if isinstance(one, dict) and group in one), None)


def _section(conf: Path, group: str, name: str) -> Iterator[str]:
    option = _read(conf, conf / group / f"{name}.yaml")
    yield f"### {name if group != 'term' else f'term {name}'}\n"
    yield f"{escaped(option.head)}\n"
    rows = list(_rows(option.values, option.comments, derive_field_rules(SCHEMA[group]) if group in SCHEMA else {}, ""))
    if rows:
        yield "\n".join(("| knob | default | values | |", "|---|---|---|---|", *rows)) + "\n"
    if notes := list(_notes(option.values)):
        yield f"{' '.join(notes)}\n"


def _read(conf: Path, path: Path) -> Option:
    """Read a file with its bases, and with the terms that it takes in as its own (`/term@_here_`)."""
    text = path.read_text(encoding="utf-8")
    head = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    option = Option(" ".join(head), read_option(path), _inherited_comments(path))
    for taken in option.values.get("defaults", []):
        if isinstance(taken, dict) and "/term@_here_" in taken:
            term = _read(conf, conf / "term" / f"{taken['/term@_here_']}.yaml")
            check = {**term.values.get("_check_", {}), **option.values.get("_check_", {})}
            option.values = {**term.values, **option.values, "_check_": check}
            option.comments = {**term.comments, **option.comments}
    return option


def _inherited_comments(path: Path) -> dict[str, str]:
    """Return the words beside each key; where a file says nothing about a key, those of its base."""
    comments: dict[str, str] = {}
    for file in reversed(list_inherited_files(path)):
        comments |= _comments(file.read_text(encoding="utf-8"))
    return comments


def _comments(text: str) -> dict[str, str]:
    """Return the words beside each key; a key inside another is "outer.inner"."""
    found, outer = {}, ""
    for line in text.splitlines():
        if (key := KEY.match(line)) and not key[1]:
            outer = key[2]
        if match := COMMENT.match(line):
            found[f"{outer}.{match[2]}" if match[1] else match[2]] = match[3]
    return found


def _rows(
    values: Mapping[str, Any], comments: Mapping[str, str], closed: Mapping[str, Rule], where: str
) -> Iterator[str]:
    checks = values.get("_check_") or {}
    for key, default in values.items():
        name = f"{where}{key}"
        if key.startswith("_") or (key in NO_KNOBS and default != MUST_BE_SET):
            continue
        if isinstance(default, dict) and default and key not in checks and not closed.get(key, Rule()).choices:
            yield from _rows(default, comments, {}, f"{name}.")
            continue
        rule = closed.get(key) or parse_knob_rule(default, checks.get(key), name)
        yield f"| `{name}` | {_shown(default)} | {escaped(str(rule) or 'any')} | {escaped(comments.get(name, ''))} |"
    yield from _left_out(values, closed)


def _left_out(values: Mapping[str, Any], closed: Mapping[str, Rule]) -> Iterator[str]:
    """The keys of a closed group that its file leaves at the schema's default."""
    for key, rule in closed.items():
        if key not in values and key != "name":
            yield f"| `{key}` | | {escaped(str(rule))} | |"


def _shown(default: Any) -> str:
    return "must be given" if default == MUST_BE_SET else f"`{format_value(default)}`"


def _notes(values: Mapping[str, Any]) -> Iterator[str]:
    for knob, budgets in (values.get("_budget_knobs_") or {}).items():
        yield f"`{knob}` is what a budget of {', '.join(budgets)} solves for."
    if left := values.get("_leaves_"):
        yield f"Leaves the network {', '.join(left)}."
    if refused := values.get("_refuses_"):
        yield f"Not on one that is {' or '.join(refused)}."
    if needed := values.get("_needs_"):
        yield f"Only on one that is {' or '.join(needed)}."
    if values.get("_only_step_"):
        yield "A control of the dense network, in company of no other."
