"""Pipelines of compression: at most one method of each family, in a legal order, with the knobs worth searching.

Options may not change from trial to trial. So what earlier choices forbid is asked for under a name of its own, which
says what is left: `decomposition` of all its methods, `order(filter_l1,svd)` of these two.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convarium.config.budget import find_decided_knob
from convarium.config.messages import suggest_nearest
from convarium.config.option_file import read_option
from convarium.config.search_path import find_config_file, list_group_options, list_search_folders
from convarium.config.step_order import is_legal_order, list_left_properties
from convarium.errors import UserError
from convarium.search.choosers import Chooser
from convarium.search.searched_knobs import PER_SITE, SearchedKnob, find_knob_per_site, list_searched_knobs

Chain = tuple[str, ...]
RENAMING_PROPERTY = "factored"  # a layer has become two, under other names


@dataclass(frozen=True)
class SearchedMethod:
    """A method that may stand in a pipeline.

    Attributes:
        option: its YAML, with what it takes in.
        knobs: that are searched.
        knob_per_site: the one of them that may be chosen apart for some weights.
    """

    option: Mapping[str, Any]
    knobs: tuple[SearchedKnob, ...]
    knob_per_site: str | None


def pipeline(
    choose: Chooser,
    base: Mapping[str, Any],
    families: Sequence[str],
    without: Sequence[str],
    weights: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a chain of methods and their knobs, but for the one that a budget decides.

    Args:
        base: the composition of what is fixed.
        families: folders of `conf/compression`, in the order in which they are asked for.
        without: whole names of methods that are left out.
        weights: patterns of weight names for which knobs are chosen apart, as long as no step before has given the
            weights other names.

    Raises:
        UserError: a family without a method that is searched, or a method to leave out that is none.
    """
    methods = _read_methods(tuple(list_search_folders("conf")), tuple(families), tuple(without))
    chain = _choose_chain(choose, methods, families)
    values: dict[str, Any] = {"compression": list(chain)}
    options = {_shorten(method): methods[method].option for method in chain}
    decided = find_decided_knob(options, base.get("budget") or {})
    for method in chain:
        path = f"compression.{_shorten(method)}"
        knobs = _choose_knobs(choose, method, methods[method], weights, (decided or "").removeprefix(f"{path}."))
        values.update({f"{path}.{name}": value for name, value in knobs.items()})
        if RENAMING_PROPERTY in list_left_properties(method, methods[method].option):
            weights = ()
    return values


def _choose_knobs(
    choose: Chooser, method: str, searched: SearchedMethod, weights: Sequence[str], decided: str
) -> dict[str, Any]:
    """Return the values of a method's knobs, but for the decided one."""
    step, values = _shorten(method), {}
    per_site = searched.knob_per_site if searched.knob_per_site != decided else None
    for knob in searched.knobs:
        is_scope_of_all = knob.name == "scope" and per_site and weights  # one threshold over all would leave none apart
        if knob.name != decided and not is_scope_of_all:
            values[knob.name] = knob.ask(choose, f"{step}.{knob.name}")
        if knob.name == per_site and weights:
            values[PER_SITE] = {weight: knob.ask(choose, f"{step}.{knob.name}[{weight}]") for weight in weights}
    return values


def _choose_chain(choose: Chooser, methods: Mapping[str, SearchedMethod], families: Sequence[str]) -> Chain:
    chosen: Chain = ()
    for family in families:
        members = [method for method in methods if method.startswith(f"{family}/")]
        legal = [method for method in members if _list_legal_orders(methods, (*chosen, method))]
        if legal:
            name = family if legal == members else f"{family}({_join(legal)})"
            answer = choose.word(name, ["none", *legal])
            chosen += () if answer == "none" else (answer,)
    return _choose_order(choose, chosen, _list_legal_orders(methods, chosen))


def _choose_order(choose: Chooser, chosen: Chain, orders: Sequence[Chain]) -> Chain:
    """Return one of several orders; asked for is only the order of the methods whose place is not the same in all."""
    if len(orders) == 1:
        return orders[0]
    fixed = {methods[0] for methods in zip(*orders, strict=True) if len(set(methods)) == 1}
    order_by_text = {_join([method for method in order if method not in fixed]): order for order in orders}
    movable = _join([method for method in chosen if method not in fixed])
    return order_by_text[choose.word(f"order({movable})", list(order_by_text))]


def _list_legal_orders(methods: Mapping[str, SearchedMethod], chosen: Chain) -> list[Chain]:
    return [
        order
        for order in itertools.permutations(chosen)
        if is_legal_order((method, methods[method].option) for method in order)
    ]


# Cached by the folders too: ./conf is another one after a change of the working folder.
@cache
def _read_methods(folders: Sequence[Path], families: Chain, without: Chain) -> dict[str, SearchedMethod]:
    """Return the methods of some families whose YAML has `_search_` and that may stand in a chain."""
    methods = {}
    known = list_group_options("compression")
    for name in without:
        if name not in known:
            raise UserError(f"search.space.without: no such method {name}{suggest_nearest(name, known)}")
    for name in known:
        if name.partition("/")[0] in families and name not in without:
            file = find_config_file("conf", f"compression/{name}")
            option = read_option(file) if file else {}
            if "_search_" in option and not option.get("_only_step_"):
                knobs = tuple(list_searched_knobs(name, option))
                methods[name] = SearchedMethod(option, knobs, find_knob_per_site(name, option))
    for family in families:
        if not any(name.startswith(f"{family}/") for name in methods):
            raise UserError(f"search.space.families: no method of {family} is searched (none has _search_ in its YAML)")
    return methods


def _shorten(method: str) -> str:
    return method.rpartition("/")[2]


def _join(methods: Sequence[str]) -> str:
    return ",".join(map(_shorten, methods))
