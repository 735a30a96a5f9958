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
from convarium.cvm import container
from convarium.errors import UserError
from convarium.planning.plan import Node
from convarium.planning.stage_graph import build_plan
from convarium.planning.validate import validate_points

Overrides = tuple[str, ...]

MAX_CHECKPOINTS = 50


class MethodSuite:
    """Inherit it and name the method; the small set and one epoch keep it fast.

    Attributes:
        method: as it is typed, such as "pruning/magnitude".
        overrides: knobs that train for little time, and those that the method can't do without.
        networks: what it is tried on; those it can't work on it must refuse in one line.
        nightly_networks: names of those that only a run of the tests marked `nightly` tries it on.
        must_work_on: names of the networks that it may not refuse.
        training_overrides: dataset and recipe.
        required_methods: methods without which it has nothing to work on.
        methods_before, methods_after: methods that it is chained with, where its YAML and theirs allow it.
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
        nightly = {name: pytest.param(self.networks[name], marks=pytest.mark.nightly) for name in self.nightly_networks}
        others = {name: name for name in self._list_other_methods()}
        parametrize_cases(metafunc, network={**self.networks, **nightly}, other=others)

    def _list_other_methods(self) -> tuple[str, ...]:
        return tuple(
            name
            for name in (*self.methods_before, *self.methods_after)
            if name not in (self.method, *self.required_methods)
        )

    @pytest.fixture(autouse=True)
    def _use_one_thread(self) -> None:
        torch.set_num_threads(1)

    def _build_command_line(
        self, network: tuple[str, ...], before: tuple[str, ...] = (), after: tuple[str, ...] = ()
    ) -> Overrides:
        methods = (*before, *self.required_methods, self.method, *after)
        others = (text for other in methods if other != self.method for text in one_epoch_overrides(other))
        return (*network, *self.training_overrides, f"compression=[{','.join(methods)}]", *self.overrides, *others)

    def _try_or_skip(self, network: tuple[str, ...]) -> "MethodTrial":
        """Return what came of the method, or skip the test where it was refused and may be."""
        trial = try_method(self._build_command_line(network))
        if trial.refusal is not None:
            self._check_may_refuse(network, trial.refusal)
            pytest.skip(f"refused: {trial.refusal}")
        return trial

    def _check_may_refuse(self, network: tuple[str, ...], refusal: str) -> None:
        must_work = network in [self.networks[name] for name in self.must_work_on]
        assert not must_work, f"{self.method} must work on {network}: {refusal}"

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
                return
        pytest.fail(f"it writes {MAX_CHECKPOINTS} checkpoints: give overrides that train for less time")

    def test_it_goes_with_others_or_is_refused_in_one_line(self, other: str) -> None:
        first, is_before = next(iter(self.networks.values())), other in self.methods_before
        trial = try_method(
            self._build_command_line(first, (other,) if is_before else (), () if is_before else (other,))
        )
        if trial.refusal is not None:
            assert "\n" not in trial.refusal
        else:
            assert torch.equal(trial.stored_logits, trial.trained_logits)


class MethodTrial:
    """What came of a command line: a reason why not, or a file's bytes and what its network answers.

    Attributes:
        refusal: the reason.
        node: the last stage that made a network.
        file_content: the file.
        stored_logits: logits of the network in the file, on noise.
        trained_logits: logits of the network it was made from, taken just before it was written.
    """

    def __init__(self, overrides: tuple[str, ...]) -> None:
        self.refusal: str | None = None
        try:
            self.node = _plan_and_run_parents(overrides)
            self.file_content, self.trained_logits = self._run_last_stage()
        except UserError as error:
            self.refusal = str(error)
            return
        file = container.read_cvm(open_harness().network_path(self.node), allow=self.node.runtime["allow"])
        self.stored_logits = compute_logits(container.materialise_network(file), tuple(file.header["input"]["shape"]))

    def _run_last_stage(self) -> tuple[bytes, Tensor]:
        with _record_written_logits() as seen:
            data = open_harness().run_stage(self.node)
        return data, seen[-1]


try_method = cache(MethodTrial)


def one_epoch_overrides(method: str) -> tuple[str, ...]:
    """Return overrides by which one of our own methods trains for a single epoch."""
    name = method.rpartition("/")[2]
    return () if method.startswith("coding/") else (f"compression.{name}.epochs=1",)


def _plan_and_run_parents(overrides: tuple[str, ...]) -> Node:
    """Check a command line as `convarium run` does; make what the last step starts from."""
    points = compose_points(overrides).check_points()
    for reason in validate_points(points).values():
        raise UserError(reason)
    graph = build_plan(points)
    *before, node = list_nodes_to(graph, graph.points[0].network)
    run_missing_stages(before)
    return node


@contextmanager
def _record_written_logits() -> Iterator[list[Tensor]]:
    """Note what every network that is written meanwhile answers."""
    seen: list[Tensor] = []
    write = container.write_cvm

    def watching(path: Any, network: Any, header: Mapping[str, Any], coders: Any) -> None:
        seen.append(compute_logits(network, tuple(header["input"]["shape"])))
        write(path, network, header, coders)

    with mock.patch.object(container, "write_cvm", watching):
        yield seen
