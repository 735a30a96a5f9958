"""Latency is a race in turns, in fresh processes, and void where the clock can't be trusted."""

import time as clock
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn

from convarium.measurement import latency
from convarium.measurement.memory import measure_cpu_peak_bytes
from convarium.stages import time as stage
from convarium.stages.time import TimeConfig, time

SETTINGS = {"executor": "eager", "batch": 1, "threads": 1}


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(latency, "MIN_TURN_SECONDS", 0.001)


def race(latency_ms=1.0, speedup=2.0, spread=1.1, peak=100):
    return {
        "latency_ms": latency_ms, "dense_ms": 1.0, "speedup": speedup, "spread": spread, "peak_memory_bytes": peak,
    }  # fmt: skip


def test_a_network_against_itself_takes_as_long(dense_file):
    found = latency.race_models(str(dense_file), str(dense_file), str(dense_file), SETTINGS)
    assert 0.5 < found["speedup"] < 2
    assert found["latency_ms"] > 0
    assert found["spread"] >= 1


def test_a_call_that_sleeps_longer_loses_by_as_much():
    times, dense_times = latency._time_in_turns(
        lambda: clock.sleep(0.002), lambda: clock.sleep(0.006), latency.select_clock("cpu")
    )
    ratios = sorted(dense / own for own, dense in zip(times, dense_times, strict=True))
    assert 2 < ratios[len(ratios) // 2] < 4


def test_both_take_turns_and_each_begins_as_often():
    order: list[str] = []
    latency._time_in_turns(
        lambda: order.append("own") or clock.sleep(0.001),
        lambda: order.append("dense") or clock.sleep(0.001),
        latency.select_clock("cpu"),
    )
    turns = [name for name, before in zip(order[20:], order[19:], strict=False) if name != before]
    assert abs(turns.count("own") - turns.count("dense")) <= 1
    assert len(turns) >= latency.TURN_COUNT - 2


def test_medians_and_ranges_over_processes_are_told():
    found = latency.summarise_races([race(3.0, 1.5, peak=7), race(1.0, 1.4), race(2.0, 1.6)])
    assert found["metrics"] == {"latency_ms": 2.0, "speedup": 1.5, "peak_memory_bytes": 100}
    assert found["range"] == [1.0, 3.0]
    assert found["speedup_range"] == [1.4, 1.6]
    assert found["void"] is False


def test_a_busy_machine_makes_it_void():
    assert latency.summarise_races([race(), race(spread=2.01), race()])["void"] is True
    assert latency.summarise_races([race(speedup=0.68), race(speedup=1.0), race(speedup=1.03)])["void"] is True


def test_a_network_that_differs_from_itself_says_that_the_machine_was_too_busy():
    races = [race(speedup=1.0), race(speedup=1.06), race(speedup=1.09)]
    assert latency.summarise_races(races)["void"] is False
    assert latency.summarise_races(races, is_self_race=True)["void"] is True


def test_the_stage_knows_when_a_network_races_itself(parents, runtime):
    answers = [race(speedup=1.06)] * 3
    both = (parents[1], parents[1])
    assert time(TimeConfig(SETTINGS, host={}), both, replace(runtime, run_fresh=lambda *_: answers[0]))["void"] is True
    assert (
        time(TimeConfig(SETTINGS, host={}), parents, replace(runtime, run_fresh=lambda *_: answers[0]))["void"] is False
    )


def test_peak_memory_is_weights_and_the_activations_held_at_once():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1000))

        def forward(self, images):
            first = images + self.weight
            second = first * 2
            del first
            return second.sum()

    network, images = Two(), torch.zeros(1000)
    with torch.inference_mode():
        assert 4000 + 8000 <= measure_cpu_peak_bytes(network, lambda: network(images)) < 4000 + 8000 + 1000


def test_the_stage_races_in_three_fresh_processes(parents, runtime, monkeypatch):
    monkeypatch.setattr(stage, "MAX_RACE_ATTEMPTS", 1)
    asked = []

    class Counting:
        def __call__(self, target, *arguments):
            asked.append(target)
            return runtime.run_fresh(target, *arguments)

    found = time(TimeConfig(SETTINGS, host={}), parents, replace(runtime, run_fresh=Counting()))
    assert asked == ["convarium.measurement.latency:race_models"] * 3
    assert len(found["races"]) == 3
    assert found["metrics"]["latency_ms"] > 0
    assert found["range"][0] <= found["metrics"]["latency_ms"] <= found["range"][1]


def test_a_void_race_is_run_again_and_at_last_stored_as_void(parents, runtime):
    answers = iter([race(spread=9)] * 3 + [race()] * 3)
    found = time(TimeConfig(SETTINGS, host={}), parents, replace(runtime, run_fresh=lambda *_: next(answers)))
    assert found["void"] is False
    assert next(answers, None) is None
    found = time(TimeConfig(SETTINGS, host={}), parents, replace(runtime, run_fresh=lambda *_: race(spread=9)))
    assert found["void"] is True


def test_the_host_is_quiet_while_races_are_run(parents, runtime):
    held: list[bool] = []

    @contextmanager
    def hold_host_alone():
        held.append(True)
        yield
        held.pop()

    def run_fresh(*_):
        assert held
        return race()

    time(TimeConfig(SETTINGS, host={}), parents, replace(runtime, run_fresh=run_fresh, hold_host_alone=hold_host_alone))
    assert not held
