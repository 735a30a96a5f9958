"""LeNet-5 as it was published (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

import random
from collections import OrderedDict

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.activations import ACTIVATION_NAMES, build_activation, count_pieces
from convarium.architectures.blocks.pooling import POOLING_NAMES, TrainablePool2d, build_pool
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

# Table I of the paper: the maps of S2 that each of the 16 maps of C3 sees; a row holds maps with equally many inputs.
C3_INPUT_MAPS = (
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
    ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    ((0, 1, 2, 3, 4, 5),),
)
CODES_SEED = 84
F6_WIDTH = 84  # units of F6: the dots of a 7x12 bitmap
# The target codes of F6: digits 0 to 9 on 7x12 dots each, drawn by us after the paper's figure 3.
DIGIT_BITMAPS = """
..###.. ...#... ..###.. #####.. ....##. ####### ..####. ####### ..###.. ..###..
.#...#. ..##... .#...#. .....#. ...#.#. #...... .#..... ......# .#...#. .#...#.
#.....# .#.#... #.....# ......# ...#.#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# .....#. ..#..#. #####.. #.###.. ....#.. .#...#. #.....#
#.....# ...#... .....#. ..###.. .#...#. .....#. ##...#. ....#.. ..###.. .#...##
#.....# ...#... ....#.. .....#. .#...#. ......# #.....# ...#... .#...#. ..###.#
#.....# ...#... ...#... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ..#.... #.....# ......#
#.....# ...#... .#..... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
.#...#. ...#... #...... .#...#. .....#. .#...#. .#...#. .#..... .#...#. ....#..
..###.. ..###.. ####### ..###.. .....#. ..###.. ..###.. .#..... ..###.. .###...
"""


class Squash(nn.Module):
    """The paper's sigmoid, 1.7159 tanh(2x / 3): 1 at 1 and -1 at -1."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape to one of the same."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class PartialConvolution(nn.Module):
    """C3: 5x5 kernels to 16 maps, each of which sees some of the six maps of S2; 60 kernels, 1,516 parameters.

    Maps with equally many inputs are computed by one grouped convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        for number, input_maps in enumerate(C3_INPUT_MAPS):
            maps, inputs = len(input_maps), torch.tensor(sum(input_maps, ()))
            self.parts.append(nn.Conv2d(len(inputs), maps, 5, groups=maps))
            # Not persistent: every tensor of the state dict counts as bytes of the file.
            self.register_buffer(f"inputs{number}", inputs, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 6, H, W) to (N, 16, H - 4, W - 4)."""
        maps = []
        for number, convolution in enumerate(self.parts):
            inputs = self.get_buffer(f"inputs{number}")
            maps.append(convolution(x[:, inputs]))
        return torch.cat(maps, 1)


class RadialBasis(nn.Module):
    """The output layer: minus the squared distance from F6 to a fixed code of 84 bits for each class.

    A softmax of it is the paper's equation 9 without the constant. The codes of up to ten classes are bitmaps of
    digits; those of more are random, the paper's other suggestion.
    """

    codes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(_build_class_codes(num_classes)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 84) to (N, classes)."""
        return -(x[:, None] - self.codes).square().sum(2)


def _build_class_codes(count: int) -> list[list[float]]:
    if count > 10:
        # Codes are not in the state dict, so each build must draw the same ones.
        generator = random.Random(CODES_SEED)
        return [[generator.choice((-1.0, 1.0)) for _ in range(F6_WIDTH)] for _ in range(count)]
    lines = [line.split() for line in DIGIT_BITMAPS.strip().split("\n")]
    digits = ["".join(rows) for rows in zip(*lines, strict=True)]
    return [[1.0 if dot == "#" else -1.0 for dot in digit] for digit in digits[:count]]


def lenet5_1998(in_chans: int, num_classes: int, img_size: int, head: str = "rbf") -> nn.Module:
    """LeNet-5 with its table of connections and trainable subsampling; 60,000 parameters, 325,680 MACs at 1x32x32x10.

    Section II.B of the paper. Images of less than 32 pixels are padded by two, so MNIST's 28 become the paper's 32. At
    other sizes the kernels of C5 still cover all of S4. The head `linear` has 850 more parameters. Weights are drawn
    uniformly from +-2.4 / inputs, as in the paper.

    Raises:
        UserError: images smaller than 12 pixels.
    """
    check_min_image_size("lenet5_1998", 12, img_size)
    network = nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(in_chans, 6, 5, padding=_compute_padding(img_size)),
            squash1=Squash(),
            s2=TrainablePool2d(6, 2),
            squash2=Squash(),
            c3=PartialConvolution(),
            squash3=Squash(),
            s4=TrainablePool2d(16, 2),
            squash4=Squash(),
            c5=nn.Conv2d(16, 120, _compute_s4_side(img_size)),
            squash5=Squash(),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, F6_WIDTH),
            squash6=Squash(),
            output=RadialBasis(num_classes) if head == "rbf" else nn.Linear(F6_WIDTH, num_classes),
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 2.4 / module.weight[0].numel()
            nn.init.uniform_(module.weight, -bound, bound)
    return network


def lenet5_modern(
    in_chans: int, num_classes: int, img_size: int, activation: str = "relu", pooling: str = "max"
) -> nn.Module:
    """LeNet-5 as it is taught: C3 sees all maps, ReLU, max pooling, softmax; 61,706 parameters, 416,520 MACs.

    At 1x32x32 or 1x28x28 (padded by two, as in the paper) and 10 classes.

    Raises:
        UserError: images smaller than 12 pixels.
    """
    check_min_image_size("lenet5_modern", 12, img_size)
    pieces = count_pieces(activation)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_chans, 6 * pieces, 5, padding=_compute_padding(img_size)),
            act1=build_activation(activation, 6),
            pool1=build_pool(pooling, 6),
            conv2=nn.Conv2d(6, 16 * pieces, 5),
            act2=build_activation(activation, 16),
            pool2=build_pool(pooling, 16),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * _compute_s4_side(img_size) ** 2, 120 * pieces),
            act3=build_activation(activation, 120),
            fc2=nn.Linear(120, 84 * pieces),
            act4=build_activation(activation, 84),
            fc3=nn.Linear(84, num_classes),
        )
    )


def _compute_padding(img_size: int) -> int:
    return 2 if img_size < 32 else 0


def _compute_s4_side(img_size: int) -> int:
    """Return the side of the maps of S4: twice a 5x5 convolution and a 2x2 pooling."""
    padded = img_size + 2 * _compute_padding(img_size)
    return ((padded - 4) // 2 - 4) // 2


SUPPORTED_LAYERS = {"activation": one_of(*ACTIVATION_NAMES), "pooling": one_of(*POOLING_NAMES)}
BUILDERS = {
    "lenet5_1998": Builder(lenet5_1998, {"head": one_of("rbf", "linear")}),
    "lenet5_modern": Builder(lenet5_modern, {}, SUPPORTED_LAYERS),
}
