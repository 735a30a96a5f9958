"""What every compression method must do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor

from convarium.cli.points import ask
from convarium.compression.file import container
from convarium.conformance.bench import Killed
from convarium.conformance.cases import each
from convarium.conformance.dense import NETWORKS, SMALL, bench, made, until
from convarium.conformance.values import logits
from convarium.errors import UserError
from convarium.stages.graph import plan
from convarium.stages.validate import validate
from convarium.store.plan import Node

Line = tuple[str, ...]

MOST_CHECKPOINTS = 50


class MethodSuite:
    """Inherit it and name the method; the small set and one epoch keep it fast.

    Attributes:
        method: as it is typed, such as "pruning/magnitude".
        overrides: knobs that train for little time, and those that the method can't do without.
        networks: what it is tried on; those it can't work on it must refuse in one line.
        must_work: names of the networks that it may not refuse.
        data: dataset and recipe.
        needs: methods without which it has nothing to work on.
        before, after: methods that it is chained with, where its YAML and theirs allow it.
    """

    method: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    networks: ClassVar[Mapping[str, tuple[str, ...]]] = NETWORKS
    must_work: ClassVar[tuple[str, ...]] = ("lenet5",)
    data: ClassVar[tuple[str, ...]] = SMALL
    needs: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[tuple[str, ...]] = ("pruning/magnitude",)
    after: ClassVar[tuple[str, ...]] = ("quantization/kmeans", "coding/huffman")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        each(metafunc, network=self.networks, other={name: name for name in self._others()})

    def _others(self) -> tuple[str, ...]:
        return tuple(name for name in (*self.before, *self.after) if name not in (self.method, *self.needs))

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> None:
        torch.set_num_threads(1)

    def _line(self, network: tuple[str, ...], before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Line:
        methods = (*before, *self.needs, self.method, *after)
        others = (text for other in methods if other != self.method for text in brief(other))
        return (*network, *self.data, f"compression=[{','.join(methods)}]", *self.overrides, *others)

    def _works(self, network: tuple[str, ...]) -> "Trial":
        """Return what came of the method, or skip the test where it was refused."""
        trial = tried(self._line(network))
        if trial.refused is not None:
            pytest.skip(f"refused: {trial.refused}")
        return trial

    def test_it_works_or_is_refused_in_one_line(self, network: tuple[str, ...]) -> None:
        trial = tried(self._line(network))
        if trial.refused is None:
            assert trial.measured.isfinite().all()
        else:
            assert trial.refused
            assert "\n" not in trial.refused
            assert network not in [self.networks[name] for name in self.must_work]

    def test_what_is_in_the_file_is_what_was_trained(self, network: tuple[str, ...]) -> None:
        trial = self._works(network)
        assert torch.equal(trial.measured, trial.trained)

    def test_the_same_seed_gives_the_same_bytes(self, network: tuple[str, ...]) -> None:
        trial = self._works(network)
        assert bench().make(trial.node) == trial.data

    def test_after_a_kill_at_any_checkpoint_it_gives_the_same_bytes(self) -> None:
        trial = self._works(next(iter(self.networks.values())))
        for call in range(1, MOST_CHECKPOINTS):
            try:
                bench().killed_at(call).make(trial.node)
            except Killed:
                assert bench().make(trial.node) == trial.data
            else:
                return
        pytest.fail(f"it writes {MOST_CHECKPOINTS} checkpoints: give overrides that train for less time")

    def test_it_goes_with_others_or_is_refused_in_one_line(self, other: str) -> None:
        first, is_before = next(iter(self.networks.values())), other in self.before
        trial = tried(self._line(first, (other,) if is_before else (), () if is_before else (other,)))
        if trial.refused is not None:
            assert "\n" not in trial.refused
        else:
            assert torch.equal(trial.measured, trial.trained)


class Trial:
    """What came of a command line: a reason why not, or a file's bytes and what its network answers.

    Attributes:
        refused: the reason.
        node: the last stage that made a network.
        data: the file.
        measured: logits of the network in the file, on noise.
        trained: logits of the network it was made from, taken just before it was written.
    """

    def __init__(self, overrides: tuple[str, ...]) -> None:
        self.refused: str | None = None
        try:
            self.node = _planned(overrides)
            self.data, self.trained = self._made()
        except UserError as error:
            self.refused = str(error)
            return
        file = container.read(bench().file(self.node), allow=self.node.runtime["allow"])
        self.measured = logits(container.network(file), tuple(file.header["input"]["shape"]))

    def _made(self) -> tuple[bytes, Tensor]:
        with _watched() as seen:
            data = bench().make(self.node)
        return data, seen[-1]


tried = cache(Trial)


def brief(method: str) -> tuple[str, ...]:
    """Return overrides by which one of our own methods trains for a single epoch."""
    name = method.rpartition("/")[2]
    return () if method.startswith("coding/") else (f"compression.{name}.epochs=1",)


def _planned(overrides: tuple[str, ...]) -> Node:
    """Check a command line as `convarium run` does; make what the last step starts from."""
    points = ask(overrides).accepted()
    for reason in validate(points).values():
        raise UserError(reason)
    graph = plan(points)
    *before, node = until(graph, graph.points[0].network)
    made(before)
    return node


@contextmanager
def _watched() -> Iterator[list[Tensor]]:
    """Note what every network that is written meanwhile answers."""
    seen: list[Tensor] = []
    write = container.write

    def watching(path: Any, network: Any, header: Mapping[str, Any], coders: Any) -> None:
        seen.append(logits(network, tuple(header["input"]["shape"])))
        write(path, network, header, coders)

    with mock.patch.object(container, "write", watching):
        yield seen
