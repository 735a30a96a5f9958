"""What every compression method must do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor

from convarium.compose.points import compose_points
from convarium.config.point import Point
from convarium.conformance.cases import parametrize_cases
from convarium.conformance.dense_networks import (
    SMALL_TRAINING,
    TRIED_NETWORKS,
    list_nodes_to,
    open_harness,
    run_missing_stages,
)
from convarium.conformance.stage_harness import SimulatedKill
from convarium.conformance.tensor_comparison import compute_logits
from convarium.cost.network_cost import Cost
from convarium.cvm import container
from convarium.errors import UserError
from convarium.planning.plan import Node
from convarium.planning.stage_graph import build_plan
from convarium.planning.validate import validate_points
from convarium.search.known_costs import find_known_costs

Overrides = tuple[str, ...]

MAX_CHECKPOINTS = 50


class MethodSuite:
    """Inherit it and name the method; a small dataset and one epoch keep it fast.

    Attributes:
        method: its name on the command line, such as "pruning/magnitude".
        overrides: knobs that keep the training short, and those that the method can't do without.
        networks: overrides that choose the networks it is tried on, by name; one that it can't work on it must refuse
            in one line.
        nightly_networks: names of the networks that it is tried on only in tests marked `nightly`; a package that gives
            some registers this mark in its pytest configuration.
        must_work_on: names of the networks that it may not refuse.
        training_overrides: dataset and recipe.
        required_methods: methods before it, without which it has nothing to work on.
        methods_before, methods_after: methods that it is chained with; each pair works or is refused in one line.
    """

    method: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    networks: ClassVar[Mapping[str, tuple[str, ...]]] = TRIED_NETWORKS
    nightly_networks: ClassVar[tuple[str, ...]] = ()
    must_work_on: ClassVar[tuple[str, ...]] = ("lenet5",)
    training_overrides: ClassVar[tuple[str, ...]] = SMALL_TRAINING
    required_methods: ClassVar[tuple[str, ...]] = ()
    methods_before: ClassVar[tuple[str, ...]] = ("pruning/magnitude",)
    methods_after: ClassVar[tuple[str, ...]] = ("quantization/kmeans", "coding/huffman")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        networks: dict[str, Any] = dict(self.networks)
        for name in self.nightly_networks:
            networks[name] = pytest.param(self.networks[name], marks=pytest.mark.nightly)
        in_chain = {self.method, *self.required_methods}
        other_methods = [name for name in (*self.methods_before, *self.methods_after) if name not in in_chain]
        parametrize_cases(metafunc, network=networks, other_method={name: name for name in other_methods})

    @pytest.fixture(autouse=True)
    def _use_one_thread(self) -> None:
        # Files of the same bytes are promised at equal thread counts only.
        torch.set_num_threads(1)

    def _build_command_line(
        self, network: tuple[str, ...], before: tuple[str, ...] = (), after: tuple[str, ...] = ()
    ) -> Overrides:
        methods = (*before, *self.required_methods, self.method, *after)
        chain_override = f"compression=[{','.join(methods)}]"
        overrides = [*network, *self.training_overrides, chain_override, *self.overrides]
        for method in methods:
            if method != self.method:
                overrides += one_epoch_overrides(method)
        return tuple(overrides)

    def _try_or_skip(self, network: tuple[str, ...]) -> "MethodTrial":
        """Return the trial of the method on a network, or skip the test where it refuses that network and may."""
        trial = try_method(self._build_command_line(network))
        if trial.refusal is not None:
            self._check_may_refuse(network, trial.refusal)
            pytest.skip(f"refused: {trial.refusal}")
        return trial

    def _check_may_refuse(self, network: tuple[str, ...], refusal: str) -> None:
        mandatory_networks = [self.networks[name] for name in self.must_work_on]
        assert network not in mandatory_networks, f"{self.method} must work on {network}: {refusal}"

    def test_it_works_or_is_refused_in_one_line(self, network: tuple[str, ...]) -> None:
        trial = try_method(self._build_command_line(network))
        if trial.refusal is None:
            assert trial.stored_logits.isfinite().all()
        else:
            assert trial.refusal
            assert "\n" not in trial.refusal
            self._check_may_refuse(network, trial.refusal)

    def test_what_is_in_the_file_is_what_was_trained(self, network: tuple[str, ...]) -> None:
        trial = self._try_or_skip(network)
        assert torch.equal(trial.stored_logits, trial.trained_logits)

    def test_costs_that_are_known_before_training_are_those_of_the_file(self, network: tuple[str, ...]) -> None:
        trial = self._try_or_skip(network)
        assert trial.known_costs == {name: getattr(trial.file_cost, name) for name in trial.known_costs}

    def test_the_same_seed_gives_the_same_bytes(self, network: tuple[str, ...]) -> None:
        trial = self._try_or_skip(network)
        assert open_harness().run_stage(trial.node) == trial.file_content

    def test_after_a_kill_at_any_checkpoint_it_gives_the_same_bytes(self) -> None:
        trial = self._try_or_skip(next(iter(self.networks.values())))
        for call in range(1, MAX_CHECKPOINTS):
            try:
                open_harness().killed_at_checkpoint(call).run_stage(trial.node)
            except SimulatedKill:
                assert open_harness().run_stage(trial.node) == trial.file_content
            else:
                return  # it finished: there is no further checkpoint
        pytest.fail(f"it writes {MAX_CHECKPOINTS} checkpoints: give overrides that train for less time")

    def test_it_goes_with_others_or_is_refused_in_one_line(self, other_method: str) -> None:
        first_network = next(iter(self.networks.values()))
        if other_method in self.methods_before:
            command_line = self._build_command_line(first_network, before=(other_method,))
        else:
            command_line = self._build_command_line(first_network, after=(other_method,))
        trial = try_method(command_line)
        if trial.refusal is not None:
            assert "\n" not in trial.refusal
        else:
            assert torch.equal(trial.stored_logits, trial.trained_logits)


class MethodTrial:
    """The outcome of a command line: the line by which it was refused, or the file and its network's logits.

    Attributes:
        refusal: that line; None where it was not refused. Only then are there the others.
        node: the last stage that makes a network.
        file_content: the bytes of the file.
        stored_logits: logits of the network that the file holds, on noise.
        trained_logits: those of the trained network, computed just before it was written.
        known_costs: what a search holds for certain of the network before anything is trained.
        file_cost: that of the network that the file holds.
    """

    def __init__(self, overrides: tuple[str, ...]) -> None:
        self.refusal: str | None = None
        try:
            point, self.node = _plan_and_run_parents(overrides)
            with _record_written_logits() as written_logits:
                self.file_content = open_harness().run_stage(self.node)
        except UserError as error:
            self.refusal = str(error)
            return
        self.trained_logits = written_logits[-1]
        file = container.read_cvm(open_harness().network_path(self.node), allow=self.node.runtime["allow"])
        image_shape = tuple(file.header["input"]["shape"])
        network = container.materialise_network(file)
        self.stored_logits = compute_logits(network, image_shape)
        self.file_cost = Cost(network, image_shape)
        self.known_costs = find_known_costs(point)


try_method = cache(MethodTrial)  # several tests of a suite look at the same trial


def one_epoch_overrides(method: str) -> tuple[str, ...]:
    """Return overrides by which one of our own methods trains for a single epoch; coding trains nothing."""
    family, _, name = method.rpartition("/")
    return () if family == "coding" else (f"compression.{name}.epochs=1",)


def _plan_and_run_parents(overrides: tuple[str, ...]) -> tuple[Point, Node]:
    """Check a command line as `convarium run` does, and run the stages before the last step.

    Returns:
        The point, and the last step.
    """
    points = compose_points(overrides).check_points()
    refusals = validate_points(points)
    if refusals:
        raise UserError(next(iter(refusals.values())))
    plan = build_plan(points)
    *parents, node = list_nodes_to(plan, plan.points[0].network)
    run_missing_stages(parents)
    return points[0], node


@contextmanager
def _record_written_logits() -> Iterator[list[Tensor]]:
    """Yield a list that receives the logits of every network that is written meanwhile."""
    logits: list[Tensor] = []
    write_cvm = container.write_cvm

    def record_and_write(path: Any, network: Any, header: Mapping[str, Any], coders: Any) -> None:
        logits.append(compute_logits(network, tuple(header["input"]["shape"])))
        write_cvm(path, network, header, coders)

    with mock.patch.object(container, "write_cvm", record_and_write):
        yield logits
