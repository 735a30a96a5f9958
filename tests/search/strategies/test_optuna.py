"""Samplers of Optuna by import path."""

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from convarium.errors import UserError
from convarium.search.space import WholeRange
from convarium.search.strategy import Strategy, build_sampler, check_journal_owner, find_strategy
from search.strategies.searching import NUMBERS, Names, choose_all, run_search


def _find(sampler: str, knobs: Mapping[str, Any]) -> Strategy:
    return find_strategy({"name": "optuna", "sampler": sampler, "knobs": knobs})


@pytest.mark.parametrize(
    ("sampler", "knobs", "line"),
    [
        ("???", {}, "search.strategy.sampler=???, expected an import path such as optuna.samplers:QMCSampler"),
        ("tpe", {}, "search.strategy.sampler=tpe, expected an import path such as optuna.samplers:QMCSampler"),
        ("optuna.samplers:GPSampla", {}, "has no attribute 'GPSampla' (did you mean GPSampler?)"),
        ("optuna.sampler:GPSampler", {}, "search.strategy.sampler has no 'optuna.sampler:GPSampler'"),
        ("optuna.samplers:BaseSampler", {}, "is no sampler of Optuna that can be used by itself"),
        ("optuna.pruners:MedianPruner", {}, "is no sampler of Optuna that can be used by itself"),
        ("optuna.samplers:nsgaii", {}, "is no sampler of Optuna that can be used by itself"),
        ("optuna.samplers:QMCSampler", {"seed": 3}, "search.strategy.knobs.seed: the search sets it"),
        ("optuna.samplers:QMCSampler", {"scrambled": True}, "QMCSampler does not take them: "),
        ("optuna.samplers:QMCSampler", {"qmc_type": "sobel"}, "QMCSampler does not take them: "),
        ("optuna.samplers:NSGAIISampler", {"crossover": "uniform"}, "NSGAIISampler does not take them: "),
        ("optuna.samplers:PartialFixedSampler", {}, "PartialFixedSampler does not take them: "),
    ],
)
def test_a_wrong_sampler_is_refused_in_one_line(sampler: str, knobs: Mapping[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)) as error:
        _find(sampler, knobs)
    assert "\n" not in str(error.value)


def test_cma_es_says_which_package_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convarium.search.strategies.optuna.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"CmaEsSampler needs the package cmaes: pip install cmaes$"):
        _find("optuna.samplers:CmaEsSampler", {})


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="cmaes is not installed")
def test_a_sampler_that_loads_pickles_is_refused_in_another_users_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cma = _find("optuna.samplers:CmaEsSampler", {})
    journal = tmp_path / "journal.log"
    journal.touch()
    check_journal_owner(cma, journal)
    monkeypatch.setattr(os, "getuid", lambda: journal.stat().st_uid + 1)
    with pytest.raises(UserError, match=rf"^{journal} is another user's, and this sampler runs what a journal holds"):
        check_journal_owner(cma, journal)
    check_journal_owner(find_strategy({"name": "random"}), journal)


def test_a_grid_that_would_be_listed_for_each_trial_is_bounded() -> None:
    names: Names = {f"knob{number}": WholeRange(1, 100) for number in range(4)}
    with pytest.raises(UserError, match="GridSampler lists all 100,000,000 points for each trial"):
        build_sampler(_find("optuna.samplers:GridSampler", {}), 0, 0, names)


def test_the_low_discrepancy_sequence_goes_on_from_trial_to_trial() -> None:
    strategy = _find("optuna.samplers:QMCSampler", {"scramble": True})
    points = run_search(strategy, NUMBERS, choose_all(NUMBERS), lambda point: 0.0, trials=17)
    quarters = sorted(int(point["decay"] * 4) for point in points[1:])  # the first is random
    assert quarters == [quarter for quarter in range(4) for _ in range(4)]
