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

Config = dict[str, Any]

WRONG_KWARG_VALUES: tuple[Any, ...] = ({"a": 1}, [[]], None, "no such word", -(10**9), 10**30)


class ArchitectureSuite:
    """Inherit it and name the architecture.

    Attributes:
        architecture: its name on the command line, such as "lenet5".
        overrides: such as "architecture.kwargs.hidden=[16]".
        dataset_overrides: choose the dataset whose channels, classes and image size it is built for.
        small_image_sizes: sides of images (pixels) that it must take or refuse in one line.
    """

    architecture: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    dataset_overrides: ClassVar[tuple[str, ...]] = ("dataset=mnist5k",)
    small_image_sizes: ClassVar[tuple[int, ...]] = (1, 2, 3, 5, 8)

    @pytest.fixture
    def architecture_config(self) -> Config:
        """The architecture's complete config."""
        torch.set_num_threads(1)
        overrides = (f"architecture={self.architecture}", *self.dataset_overrides, *self.overrides)
        (point,) = compose_points(overrides).check_points()
        architecture_config: Config = point.config["architecture"]
        return architecture_config

    def test_on_the_meta_device_it_has_the_same_tensors_and_no_memory(self, architecture_config: Config) -> None:
        network = build_seeded_network(architecture_config)
        meta_network = build_seeded_network(architecture_config, "meta")
        assert all(parameter.is_meta for parameter in meta_network.parameters())
        assert get_tensor_shapes(meta_network) == get_tensor_shapes(network)
        assert not any(tensor.is_meta for tensor in network.state_dict().values())

    def test_the_same_seed_draws_the_same_weights_and_another_one_others(self, architecture_config: Config) -> None:
        network = build_seeded_network(architecture_config)
        assert has_same_state(network, build_seeded_network(architecture_config))
        assert not has_same_state(network, build_seeded_network(architecture_config, seed=1))

    def test_it_answers_with_a_number_for_each_class(self, architecture_config: Config) -> None:
        network = build_seeded_network(architecture_config).eval()
        for batch_size in (1, 3):
            images = torch.randn(batch_size, *get_image_shape(architecture_config))
            with torch.no_grad():
                logits = network(images)
            assert logits.shape == (batch_size, architecture_config["num_classes"])
            assert logits.isfinite().all()

    def test_it_takes_images_that_lie_channels_last(self, architecture_config: Config) -> None:
        network = build_seeded_network(architecture_config).eval()
        images = torch.randn(2, *get_image_shape(architecture_config))
        # So lie the images of datasets, and a `view` that works on contiguous ones may fail.
        with torch.no_grad():
            logits = network(images.contiguous(memory_format=torch.channels_last))
            torch.testing.assert_close(logits, network(images), rtol=1e-4, atol=1e-5)

    def test_every_parameter_gets_a_gradient(self, architecture_config: Config) -> None:
        network = build_seeded_network(architecture_config)
        images = torch.randn(8, *get_image_shape(architecture_config))
        labels = torch.arange(8) % architecture_config["num_classes"]
        loss = nn.functional.cross_entropy(network(images), labels)
        torch.autograd.backward(loss)
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []

    def test_it_comes_back_from_its_file_bit_for_bit(self, architecture_config: Config, tmp_path: Path) -> None:
        network = build_seeded_network(architecture_config)
        packages = find_named_packages(architecture_config)
        with allow_packages(packages):
            container.write_cvm(tmp_path / "net.cvm", network, build_file_header(architecture_config), {})
        decoded = container.load_cvm(tmp_path / "net.cvm", allow=packages)
        image_shape = get_image_shape(architecture_config)
        assert has_same_state(decoded, network)
        assert torch.equal(compute_logits(decoded, image_shape), compute_logits(network, image_shape))

    def test_a_stranger_s_file_does_not_import_its_package(self, architecture_config: Config, tmp_path: Path) -> None:
        if find_named_packages(architecture_config):
            network, header = build_seeded_network(architecture_config), build_file_header(architecture_config)
            container.write_cvm(tmp_path / "net.cvm", network, header, {})
            with pytest.raises(UserError, match="is not allowed here"):
                container.load_cvm(tmp_path / "net.cvm")

    def test_small_images_are_taken_or_refused_in_one_line(self, architecture_config: Config) -> None:
        for side in self.small_image_sizes:
            assert "\n" not in find_refusal({**architecture_config, "img_size": side})

    def test_kwargs_are_checked(self, architecture_config: Config) -> None:
        kwargs = architecture_config["kwargs"]
        for key in ("no_such_kwarg", *kwargs):
            for value in WRONG_KWARG_VALUES:
                with pytest.raises(UserError, match=key):
                    build_seeded_network({**architecture_config, "kwargs": {**kwargs, key: value}}, "meta")


def build_seeded_network(architecture_config: Config, device: str | None = None, seed: int = 0) -> nn.Module:
    """Build a network with weights drawn from a seed; the package that its config names is allowed."""
    torch.manual_seed(seed)
    with allow_packages(find_named_packages(architecture_config)):
        return factory.build_architecture(architecture_config, device)


def find_refusal(architecture_config: Config) -> str:
    """Return why the architecture refuses its images, "" where it takes them; any other error is raised."""
    try:
        with allow_packages(find_named_packages(architecture_config)):
            dry_run_architecture(architecture_config)
    except UserError as error:
        return str(error)
    return ""


def get_image_shape(architecture_config: Config) -> tuple[int, int, int]:
    """Return (channels, side, side)."""
    return architecture_config["in_chans"], architecture_config["img_size"], architecture_config["img_size"]


def get_tensor_shapes(network: nn.Module) -> dict[str, torch.Size]:
    """Return the shapes of the state dict's tensors by name."""
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def build_file_header(architecture_config: Config) -> dict[str, Any]:
    """Return the header of a file that holds such a network, uncut and with images of mean 0 and deviation 1."""
    channels, side, _ = get_image_shape(architecture_config)
    return {
        "architecture": architecture_config,
        "task": "classification",
        "classes": architecture_config["num_classes"],
        "input": {"shape": [channels, side, side], "mean": [0.0] * channels, "std": [1.0] * channels},
        "surgery": [],
    }
