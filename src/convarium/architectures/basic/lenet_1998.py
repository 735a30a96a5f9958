"""LeNet-5 as it was published (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

import random
from collections import OrderedDict

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.activations import ACTIVATION_NAMES as ACTIVATIONS
from convarium.architectures.blocks.activations import build_activation as make_activation
from convarium.architectures.blocks.activations import count_pieces
from convarium.architectures.blocks.pooling import POOLING_NAMES as POOLINGS
from convarium.architectures.blocks.pooling import TrainablePool2d, build_pool
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

# Table I of the paper: which of the six maps of S2 each of the 16 maps of C3 sees, those of one length together.
C3_INPUT_MAPS = (
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
    ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    ((0, 1, 2, 3, 4, 5),),
)
# The targets of F6: each digit drawn on 7x12 dots, as in the paper's figure 3.
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
    """C3: 16 maps by kernels of 5x5, each map from some of the six below; 60 kernels, 1,516 parameters.

    Maps of as many inputs are the groups of one convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(len(t) * len(t[0]), len(t), 5, groups=len(t)) for t in C3_INPUT_MAPS)
        for number, maps in enumerate(C3_INPUT_MAPS):
            self.register_buffer(f"inputs{number}", torch.tensor(sum(maps, ())), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 6, H, W) to (N, 16, H - 4, W - 4)."""
        inputs = (self.get_buffer(f"inputs{number}") for number in range(len(C3_INPUT_MAPS)))
        return torch.cat([part(x[:, of]) for part, of in zip(self.parts, inputs, strict=True)], 1)


class RadialBasis(nn.Module):
    """The output layer: minus the squared distance of F6 to a fixed code of 84 bits for each class.

    A softmax of it is the paper's equation 9 without the constant. The digits' codes are drawn by us after its figure
    3; for more than ten classes they are drawn by lot, its other suggestion.
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
        lot = random.Random(84)
        return [[lot.choice((-1.0, 1.0)) for _ in range(84)] for _ in range(count)]
    columns = zip(*(line.split() for line in DIGIT_BITMAPS.split("\n") if line), strict=True)
    return [[1.0 if dot == "#" else -1.0 for dot in "".join(rows)] for rows in columns][:count]


def lenet5_1998(in_chans: int, num_classes: int, img_size: int, head: str = "rbf") -> nn.Module:
    """LeNet-5 with its table of connections and trainable sub-sampling; 60,000 parameters, 325,680 MACs at 1x32x32x10.

    Section II.B of the paper. Images of less than 32 pixels get a border of two, so MNIST's 28 are the paper's 32;
    where they are of another size C5's kernels cover all of S4. With the head `linear` there are 850 parameters more.
    Weights begin uniform in +-2.4 / inputs, as in the paper.

    Raises:
        UserError: images smaller than 12 pixels.
    """
    check_min_image_size("lenet5_1998", 12, img_size)
    network = nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(in_chans, 6, 5, padding=_find_padding(img_size)),
            squash1=Squash(),
            s2=TrainablePool2d(6, 2),
            squash2=Squash(),
            c3=PartialConvolution(),
            squash3=Squash(),
            s4=TrainablePool2d(16, 2),
            squash4=Squash(),
            c5=nn.Conv2d(16, 120, _find_s4_side(img_size)),
            squash5=Squash(),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, 84),
            squash6=Squash(),
            output=RadialBasis(num_classes) if head == "rbf" else nn.Linear(84, num_classes),
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            reach = 2.4 / module.weight[0].numel()
            nn.init.uniform_(module.weight, -reach, reach)
    return network


def lenet5_modern(
    in_chans: int, num_classes: int, img_size: int, activation: str = "relu", pooling: str = "max"
) -> nn.Module:
    """LeNet-5 as it is taught: C3 sees all maps, ReLU, max pooling, softmax; 61,706 parameters, 416,520 MACs.

    At 1x32x32 or 1x28x28 (a border of two, as in the paper) and 10 classes.

    Raises:
        UserError: images smaller than 12 pixels.
    """
    check_min_image_size("lenet5_modern", 12, img_size)
    times = count_pieces(activation)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_chans, 6 * times, 5, padding=_find_padding(img_size)),
            act1=make_activation(activation, 6),
            pool1=build_pool(pooling, 6),
            conv2=nn.Conv2d(6, 16 * times, 5),
            act2=make_activation(activation, 16),
            pool2=build_pool(pooling, 16),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * _find_s4_side(img_size) ** 2, 120 * times),
            act3=make_activation(activation, 120),
            fc2=nn.Linear(120, 84 * times),
            act4=make_activation(activation, 84),
            fc3=nn.Linear(84, num_classes),
        )
    )


def _find_padding(img_size: int) -> int:
    return 2 if img_size < 32 else 0


def _find_s4_side(img_size: int) -> int:
    """Return the side of the maps that S4 gives."""
    return ((img_size + 2 * _find_padding(img_size) - 4) // 2 - 4) // 2


BUILDERS = {
    "lenet5_1998": Builder(lenet5_1998, {"head": one_of("rbf", "linear")}),
    "lenet5_modern": Builder(lenet5_modern, {}, {"activation": one_of(*ACTIVATIONS), "pooling": one_of(*POOLINGS)}),
}
