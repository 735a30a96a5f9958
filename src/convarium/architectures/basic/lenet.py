"""LeNet-5 and LeNet-300-100, the networks that pruning papers use on MNIST."""

from collections import OrderedDict

from torch import nn

from convarium.architectures.basic.mlp import mlp
from convarium.architectures.builder import Builder
from convarium.architectures.image_sizes import check_min_image_size


def lenet5(in_chans: int, num_classes: int, img_size: int) -> nn.Module:
    """LeNet-5 in Caffe's form: 20 and 50 filters of 5x5, 500 hidden units; 431,080 parameters at 1x28x28x10.

    After LeCun et al., "Gradient-based learning applied to document recognition", 1998; this form is Caffe's
    (examples/mnist/lenet.prototxt), which Han et al. 2015 and 2016 prune: the only ReLU follows the hidden layer.

    Raises:
        UserError: images smaller than 16 pixels.
    """
    check_min_image_size("lenet5", 16, img_size)
    side = ((img_size - 4) // 2 - 4) // 2
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_chans, 20, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(50 * side * side, 500),
            relu=nn.ReLU(),
            fc2=nn.Linear(500, num_classes),
        )
    )


def lenet300_100(in_chans: int, num_classes: int, img_size: int) -> nn.Module:
    """Two hidden layers of 300 and 100 units (LeCun et al. 1998); 266,610 parameters at 1x28x28x10."""
    return mlp(in_chans, num_classes, img_size, hidden=[300, 100])


BUILDERS = {"lenet5": Builder(lenet5, {}), "lenet300_100": Builder(lenet300_100, {})}
