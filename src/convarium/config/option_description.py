"""What an option is for and what each of its keys means: the words, defaults and rules that its YAML and schema hold.

`convarium options` prints it and the documentation's page of options is made of it; nothing is composed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.config.checker import derive_field_rules
from convarium.config.messages import format_value
from convarium.config.option_file import HERE, list_inherited_files, list_taken_terms, read_option
from convarium.config.rules import MUST_BE_SET, Rule, parse_knob_rule
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig, SearchConfig
from convarium.config.search_path import find_config_file, read_config_text
from convarium.errors import UserError

# In the order in which a command line is thought up.
GROUP_PURPOSES = {
    "architecture": "the network: our own by section of the review, or any of timm and torchvision by its name",
    "dataset": "the images and their split; image_folder takes your own",
    "recipe": "how a network is trained: optimizer, learning rate and its schedule, augmentation, epochs",
    "compression": "the method, or a chain of them in brackets: [magnitude,kmeans,huffman]",
    "budget": "what the finished network may cost; one knob of the chain is solved for it",
    "measurement": "whether and how the network is timed; quality, bytes and MACs are always measured",
    "task": "what a network is trained for",
    "runtime": "where and on what hardware it runs; decides no result",
    "tracking": "MLflow as a view of the store; decides no result",
}
SEARCH_PURPOSES = {
    "search/space": "what a search chooses from, beside what is typed as a range or with commas",
    "search/strategy": "by what it chooses",
    "search/evaluator": "which stages answer a trial",
    "search/pruner": "which trials are left before their training ends",
}
SCHEMA: Mapping[str, type] = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}
FIXED_KEYS = ("defaults", "method", "version", "phases", "name", "source", "function")
GLOBAL_PACKAGE = "_global_"
PACKAGE_LINE = re.compile(r"^# @package ([\w.]+)\s*$", re.MULTILINE)
KEY_LINE = re.compile(r"^( *)([A-Za-z]\w*):(?:.*?\s#\s+(.*))?")


@dataclass(frozen=True)
class KeyDescription:
    """A key that can be set; `default`, as it is typed, is None where the key must be given."""

    key: str
    default: str | None
    rule: str
    comment: str


@dataclass(frozen=True)
class OptionDescription:
    """An option of a group; `prefix` stands before each of its keys on a command line."""

    name: str
    path: Path
    prefix: str
    head: tuple[str, ...]
    keys: tuple[KeyDescription, ...]
    notes: tuple[str, ...]


def find_default_option(group: str) -> str | None:
    """Return the option of a group that is taken where none is typed."""
    import yaml

    path = find_config_file("conf", "search" if group in SEARCH_PURPOSES else "convarium")
    defaults = yaml.safe_load(read_config_text(path))["defaults"] if path else []
    return next((entry[group] for entry in defaults if isinstance(entry, dict) and group in entry), None)


def read_head(path: Path) -> tuple[str, ...]:
    """Return the lines of the comment at the head of an option's file."""
    lines = []
    for line in read_config_text(path).splitlines():
        if not line.startswith("#"):
            break
        if not PACKAGE_LINE.match(line):
            lines.append(line.lstrip("# "))
    return tuple(lines)


def describe_option(group: str, name: str) -> OptionDescription:
    """Return what an option is for and what each of its keys means; `name` is its whole name.

    Raises:
        UserError: a file of it can't be read.
    """
    path = find_config_file("conf", f"{group}/{name}")
    if path is None:
        raise UserError(f"{group}={name}: no such {group}")
    values, comments = _read_with_terms(path)
    closed_rules = derive_field_rules(SCHEMA[group]) if group in SCHEMA else {}
    package = PACKAGE_LINE.search(read_config_text(path))
    prefix = package[1] if package else group.replace("/", ".")
    if prefix == GLOBAL_PACKAGE:  # as of compression=none, which only empties its group
        values, prefix = {}, group
    return OptionDescription(
        name=name,
        path=path,
        prefix=prefix,
        head=read_head(path),
        keys=tuple(_describe_keys(values, comments, closed_rules, "")),
        notes=tuple(_list_notes(values)),
    )


def describe_search() -> OptionDescription:
    """Return what the keys of a search mean that are no group."""
    path = find_config_file("conf", "search")
    assert path is not None
    values = read_option(path)["search"]
    comments = {key.partition(".")[2]: text for key, text in _parse_comments(read_config_text(path)).items()}
    keys = tuple(_describe_keys(values, comments, derive_field_rules(SearchConfig), ""))
    groups = ", ".join(SEARCH_PURPOSES)
    return OptionDescription("search", path, "search", read_head(path), keys, (f"Beside them the groups {groups}.",))


def _read_with_terms(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what an option sets, and the words beside each key, with the terms of the loss that it takes in."""
    values, comments = read_option(path), _read_inherited_comments(path)
    for key, term_path in list_taken_terms(path).items():
        term, term_comments = read_option(term_path), _read_inherited_comments(term_path)
        if key == HERE:
            checks = {**term.get("_check_", {}), **values.get("_check_", {})}
            values = {**term, **values, "_check_": checks}
            comments = {**term_comments, **comments}
        else:
            values.setdefault(key, term)
            comments = {**{f"{key}.{name}": text for name, text in term_comments.items()}, **comments}
    return values, comments


def _read_inherited_comments(path: Path) -> dict[str, str]:
    """Return the words beside each key; where a file says nothing about a key, those of the file it takes in."""
    comments: dict[str, str] = {}
    for file in reversed(list_inherited_files(path)):
        comments |= _parse_comments(read_config_text(file))
    return comments


def _parse_comments(text: str) -> dict[str, str]:
    """Return the words beside each key; a key inside another is "outer.inner"."""
    comments, outer = {}, ""
    for line in text.splitlines():
        match = KEY_LINE.match(line)
        if match is None:
            continue
        indent, key, comment = match.groups()
        if not indent:
            outer = key
        if comment:
            comments[f"{outer}.{key}" if indent else key] = comment.strip()
    return comments


def _describe_keys(
    values: Mapping[str, Any], comments: Mapping[str, str], closed_rules: Mapping[str, Rule], prefix: str
) -> Iterator[KeyDescription]:
    checks = values.get("_check_") or {}
    for key, default in values.items():
        name = f"{prefix}{key}"
        if key.startswith("_") or (key in FIXED_KEYS and default != MUST_BE_SET):
            continue
        has_keys_of_its_own = isinstance(default, dict) and default and key not in checks
        if has_keys_of_its_own and key not in closed_rules:
            yield from _describe_keys(default, comments, {}, f"{name}.")
            continue
        rule = closed_rules.get(key) or parse_knob_rule(default, checks.get(key), name)
        comment = _drop_choices(comments.get(name, ""), rule)
        yield KeyDescription(name, _format_default(default), str(rule) or "any", comment)


def _format_default(default: Any) -> str | None:
    return None if default == MUST_BE_SET else format_value(default)


def _drop_choices(comment: str, rule: Rule) -> str:
    """Return the words beside a key, or nothing where they only repeat the choices of its rule."""
    if {*re.split(r"[|,\s]+", comment)} == {*map(str, rule.choices)}:
        return ""
    return comment


def _list_notes(values: Mapping[str, Any]) -> Iterator[str]:
    for knob, quantities in (values.get("_budget_knobs_") or {}).items():
        yield f"{knob} is what a budget of {', '.join(quantities)} solves for."
    if searched := values.get("_search_"):
        yield f"search/space=pipeline chooses {', '.join(searched)}."
    if left := values.get("_leaves_"):
        yield f"Leaves the network {', '.join(left)}."
    if refused := values.get("_refuses_"):
        yield f"Not on one that is {' or '.join(refused)}."
    if needed := values.get("_needs_"):
        yield f"Only on one that is {' or '.join(needed)}."
    if values.get("_only_step_"):
        yield "A control of the dense network, in company of no other."
