"""What every architecture must do."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.architectures.dry_run import dry_run_architecture
from convarium.compose.points import compose_points
from convarium.conformance.tensor_comparison import compute_logits, has_same_state
from convarium.cvm import container
from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages

WRONG_KWARG_VALUES: tuple[Any, ...] = ({"a": 1}, [[]], None, "no such word", -(10**9), 10**30)


class ArchitectureSuite:
    """Inherit it and name the architecture.

    Attributes:
        architecture: as it is typed, such as "lenet5".
        overrides: further ones, such as "architecture.kwargs.hidden=[16]".
        dataset_overrides: the dataset whose channels, classes and size it is built for.
        small_image_sizes: sizes of images that it must take, or refuse in one line.
    """

    architecture: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    dataset_overrides: ClassVar[tuple[str, ...]] = ("dataset=mnist5k",)
    small_image_sizes: ClassVar[tuple[int, ...]] = (1, 2, 3, 5, 8)

    @pytest.fixture
    def described(self) -> dict[str, Any]:
        """Return the architecture's config, complete."""
        torch.set_num_threads(1)
        line = (f"architecture={self.architecture}", *self.dataset_overrides, *self.overrides)
        described: dict[str, Any] = compose_points(line).check_points()[0].config["architecture"]
        return described

    def test_on_the_meta_device_it_has_the_same_tensors_and_no_memory(self, described: dict[str, Any]) -> None:
        real, bare = build_seeded_network(described), build_seeded_network(described, "meta")
        assert all(parameter.is_meta for parameter in bare.parameters())
        assert tensor_shapes_of(bare) == tensor_shapes_of(real)
        assert not any(tensor.is_meta for tensor in real.state_dict().values())

    def test_the_same_seed_draws_the_same_weights_and_another_one_others(self, described: dict[str, Any]) -> None:
        one = build_seeded_network(described)
        assert has_same_state(one, build_seeded_network(described))
        assert not has_same_state(one, build_seeded_network(described, seed=1))

    def test_it_answers_with_a_number_for_each_class(self, described: dict[str, Any]) -> None:
        network = build_seeded_network(described)
        for count in (1, 3):
            with torch.no_grad():
                answer = network.eval()(torch.randn(count, *image_shape_of(described)))
            assert answer.shape == (count, described["num_classes"])
            assert answer.isfinite().all()

    def test_it_takes_images_that_lie_channels_last(self, described: dict[str, Any]) -> None:
        network = build_seeded_network(described).eval()
        images = torch.randn(2, *image_shape_of(described))
        with torch.no_grad():
            again = network(images.contiguous(memory_format=torch.channels_last))
            torch.testing.assert_close(again, network(images), rtol=1e-4, atol=1e-5)

    def test_every_parameter_gets_a_gradient(self, described: dict[str, Any]) -> None:
        network = build_seeded_network(described)
        images, labels = torch.randn(8, *image_shape_of(described)), torch.arange(8) % described["num_classes"]
        parameters = dict(network.named_parameters())
        loss = nn.functional.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        assert [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None] == []

    def test_it_comes_back_from_its_file_bit_for_bit(self, described: dict[str, Any], tmp_path: Path) -> None:
        network = build_seeded_network(described)
        with allow_packages(find_named_packages(described)):
            container.write_cvm(tmp_path / "net.cvm", network, build_file_header(described), {})
        again = container.load_cvm(tmp_path / "net.cvm", allow=find_named_packages(described))
        assert has_same_state(again, network)
        assert torch.equal(
            compute_logits(again, image_shape_of(described)), compute_logits(network, image_shape_of(described))
        )

    def test_a_stranger_s_file_does_not_import_its_package(self, described: dict[str, Any], tmp_path: Path) -> None:
        if find_named_packages(described):
            container.write_cvm(tmp_path / "net.cvm", build_seeded_network(described), build_file_header(described), {})
            with pytest.raises(UserError, match="is not allowed here"):
                container.load_cvm(tmp_path / "net.cvm")

    def test_small_images_are_taken_or_refused_in_one_line(self, described: dict[str, Any]) -> None:
        for side in self.small_image_sizes:
            assert "\n" not in find_refusal({**described, "img_size": side})

    def test_kwargs_are_checked(self, described: dict[str, Any]) -> None:
        kwargs = described["kwargs"]
        for key in ("no_such_kwarg", *kwargs):
            for value in WRONG_KWARG_VALUES:
                with pytest.raises(UserError, match=key):
                    build_seeded_network({**described, "kwargs": {**kwargs, key: value}}, "meta")


def build_seeded_network(described: dict[str, Any], device: str | None = None, seed: int = 0) -> nn.Module:
    """Build it from a seed, its package allowed."""
    torch.manual_seed(seed)
    with allow_packages(find_named_packages(described)):
        return factory.build_architecture(described, device)


def find_refusal(described: dict[str, Any]) -> str:
    """Return why it does not take images of its size; any other failure than a refusal is raised."""
    try:
        with allow_packages(find_named_packages(described)):
            dry_run_architecture(described)
    except UserError as error:
        return str(error)
    return ""


def image_shape_of(described: dict[str, Any]) -> tuple[int, int, int]:
    """Return the shape of an image."""
    return described["in_chans"], described["img_size"], described["img_size"]


def tensor_shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each tensor."""
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def build_file_header(described: dict[str, Any]) -> dict[str, Any]:
    """Return the header of a file that holds it."""
    channels = described["in_chans"]
    return {
        "architecture": described,
        "task": "classification",
        "classes": described["num_classes"],
        "input": {"shape": list(image_shape_of(described)), "mean": [0.0] * channels, "std": [1.0] * channels},
        "surgery": [],
    }
