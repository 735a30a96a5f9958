"""Small networks with ties of every kind, as a package of a user's would bring them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.kwargs import Builder

WIDTH = 8


class Plain(nn.Module):
    """Three convolutions of one shape and two linear layers of one shape, tied by `tie`."""

    def __init__(self, in_chans: int, num_classes: int, tie: Callable[["Plain"], None]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, WIDTH, 3, padding=1)
        self.a, self.b, self.c = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.na, self.nb = nn.BatchNorm2d(WIDTH), nn.BatchNorm2d(WIDTH)
        self.u, self.v = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc = nn.Linear(WIDTH, num_classes)
        tie(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.stem(images))
        maps = functional.relu(self.nb(self.b(functional.relu(self.na(self.a(maps))))))
        features = functional.relu(self.c(maps)).mean((2, 3))
        return self.fc(functional.relu(self.v(functional.relu(self.u(features)))))


class Words(nn.Module):
    """Pixels are words; their embedding is a linear layer's weight, too, and comes before it by name."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embedding, self.mix = nn.Embedding(16, 12), nn.Linear(12, 12)
        self.out = nn.Linear(12, 16, bias=False)
        self.out.weight = self.embedding.weight
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        words = (images.mean(1).flatten(1) * 3).round().clamp(-8, 7).long() + 8
        features = functional.relu(self.mix(self.embedding(words).mean(1)))
        return self.fc(functional.relu(self.out(features)))


class Mirror(nn.Module):
    """An encoder whose weight decodes, transposed."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16), nn.Linear(pixels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        code = functional.relu(self.encoder(images.flatten(1)))
        return self.fc(functional.linear(code, self.encoder.weight.t()))


class Listed(nn.Module):
    """The mirror again, but its decoder reads a list."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16, bias=False), nn.Linear(pixels, num_classes)
        self.decoder = [self.encoder.weight]

    def forward(self, images: Tensor) -> Tensor:
        code = functional.relu(self.encoder(images.flatten(1)))
        return self.fc(functional.linear(code, self.decoder[0].t()))


class Closed(nn.Module):
    """And again: it reads what a function of its own has seen when it was built, as a view."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16, bias=False), nn.Linear(pixels, num_classes)
        turned = self.encoder.weight.t()
        self.decode = lambda code: functional.linear(code, turned)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.decode(functional.relu(self.encoder(images.flatten(1)))))


class Reader(nn.Module):
    """A recurrent layer, which keeps a list of its weights itself."""

    def __init__(self, side: int, num_classes: int) -> None:
        super().__init__()
        self.rows, self.fc = nn.LSTM(side, 8, batch_first=True), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.rows(images.mean(1))[0].mean(1))


def _parameter(network: Plain) -> None:
    network.b.weight = network.a.weight


def _module(network: Plain) -> None:
    network.b = network.a


def _list(network: Plain) -> None:
    network.everything = nn.ModuleList([network.a, network.b])


def _three(network: Plain) -> None:
    network.b.weight = network.c.weight = network.a.weight


def _biases(network: Plain) -> None:
    network.b.bias = network.v.bias = network.na.bias = network.a.bias


def _buffers(network: Plain) -> None:
    for name, buffer in network.na.named_buffers():
        setattr(network.nb, name, buffer)


def _norm(network: Plain) -> None:
    network.nb = network.na


def _linear(network: Plain) -> None:
    network.v.weight = network.u.weight


def _transposed(network: Plain) -> None:
    network.b = nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1)
    network.b.weight = network.a.weight


def _root(network: Plain) -> None:
    network.kernel = network.a.weight  # comes before a.weight in the network's order, behind it in that of names


def _early(network: Plain) -> None:
    network.Z = network.a.weight  # comes before a.weight in both


def _view(network: Plain) -> None:
    network.v.weight = nn.Parameter(network.u.weight.view(WIDTH, WIDTH))


def _buffer_of_a_parameter(network: Plain) -> None:
    network.register_buffer("kernel", network.a.weight)


def _halves(network: Plain) -> None:
    memory = torch.randn(2, WIDTH, WIDTH)
    network.u.weight, network.v.weight = nn.Parameter(memory[0]), nn.Parameter(memory[1])


def _hidden_module(network: Plain) -> None:
    network.held = [network.a]
    del network.b
    network.b = _Call(network.held)


class _Call(nn.Module):
    """Calls a layer that it does not own."""

    def __init__(self, held: list[nn.Module]) -> None:
        super().__init__()
        self.held = held

    def forward(self, maps: Tensor) -> Tensor:
        return self.held[0](maps)


def _head(network: Plain) -> None:
    network.last = network.fc


def _built(tie: Callable[[Plain], None]) -> Builder:
    return Builder(lambda channels, classes, side: Plain(channels, classes, tie), {})


UNTIED = _built(lambda network: None)
PARAMETER, MODULE, LIST, THREE = _built(_parameter), _built(_module), _built(_list), _built(_three)
BIASES, BUFFERS, NORM, LINEAR = _built(_biases), _built(_buffers), _built(_norm), _built(_linear)
TRANSPOSED, ROOT, EARLY, VIEW = _built(_transposed), _built(_root), _built(_early), _built(_view)
BUFFER_OF_A_PARAMETER, HALVES = _built(_buffer_of_a_parameter), _built(_halves)
HIDDEN_MODULE, HEAD = _built(_hidden_module), _built(_head)
WORDS = Builder(lambda channels, classes, side: Words(classes), {})
LISTED = Builder(lambda channels, classes, side: Listed(channels * side * side, classes), {})
CLOSED = Builder(lambda channels, classes, side: Closed(channels * side * side, classes), {})
READER = Builder(lambda channels, classes, side: Reader(side, classes), {})
MIRROR = Builder(lambda channels, classes, side: Mirror(channels * side * side, classes), {})
