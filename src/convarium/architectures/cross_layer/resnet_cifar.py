"""The small ResNets for 32x32 images (He et al., "Deep residual learning", CVPR 2016, section 4.2)."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.kwargs import Builder


class Block(nn.Module):
    """Two 3x3 convolutions beside a parameter-free shortcut (option A: every second pixel, zeros for new channels)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.stride, self.widening = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(inner + self.shortcut(x))  # type: ignore[no-any-return]

    def shortcut(self, x: Tensor) -> Tensor:
        """Subsample and pad with zero channels, equally before and behind."""
        if self.stride == 1 and self.widening == 0:
            return x
        before = self.widening // 2
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.widening - before))


class CifarResNet(nn.Module):
    """A 3x3 stem, three stages of `blocks` blocks with 16, 32 and 64 channels, average pooling, one linear layer."""

    def __init__(self, blocks: int, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.stage1 = _stage(16, 16, 1, blocks)
        self.stage2 = _stage(16, 32, 2, blocks)
        self.stage3 = _stage(32, 64, 2, blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.pool(x).flatten(1))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


def resnet_cifar(depth: int, in_chans: int, num_classes: int, img_size: int) -> nn.Module:
    """ResNet of depth 6n + 2; depth 20 has 269,722 parameters at 3x32x32x10; takes images of any size."""
    return CifarResNet((depth - 2) // 6, in_chans, num_classes)


BUILDERS = {f"resnet{depth}": Builder(partial(resnet_cifar, depth), {}) for depth in (20, 32, 44, 56, 110)}
