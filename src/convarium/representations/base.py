"""The base class of every stored form of a tensor: fitted, materialised, trained, encoded and decoded."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError

Shape = tuple[int, ...]


class Representation(nn.Module):
    """A stored form of a tensor, attached to a network by `torch.nn.utils.parametrize`.

    Structure (positions, ids) lives in buffers. Trainable tensors live in `stored_tensors` until the representation is
    attached to a network; from then on they are the originals of the parametrization, and `forward` takes them.
    """

    kind: ClassVar[str]

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape: Shape = tuple(int(size) for size in shape)
        self._stored_tensors: tuple[Tensor, ...] | None = None

    @property
    def numel(self) -> int:
        """The number of values of the materialised tensor."""
        return prod(self.shape)

    @property
    def stored_tensors(self) -> tuple[Tensor, ...]:
        """The trainable tensors, until a network takes them over.

        Raises:
            UserError: they belong to a network now, or were never fitted.
        """
        if self._stored_tensors is None:
            raise UserError("this representation holds no tensors: it is attached to a network")
        return self._stored_tensors

    def right_inverse(self, dense: Tensor) -> tuple[Tensor, ...]:
        """Hand the stored tensors over to a network, once; of `dense` only the device is used.

        `parametrize` calls this when a representation is registered, and at every assignment to the weight.

        Raises:
            UserError: the tensors belong to a network already (`module.weight = …` on a represented weight).
        """
        if self._stored_tensors is None:
            raise UserError("a represented weight can't be assigned: detach its representation first")
        stored, self._stored_tensors = self._stored_tensors, None
        return tuple(tensor.to(dense.device) for tensor in stored)

    def materialise(self) -> Tensor:
        """Return the dense tensor that the stored tensors stand for."""
        dense: Tensor = self(*self.stored_tensors)
        return dense

    def reshape_to(self, shape: Sequence[int]) -> Self:
        """Change the shape to another one with as many values; return this representation.

        Raises:
            UserError: the shapes differ in their number of values.
        """
        if prod(shape) != self.numel:
            raise UserError(f"a representation of shape {self.shape} can't take shape {tuple(shape)}")
        self.shape = tuple(int(size) for size in shape)
        return self

    @abstractmethod
    def project(self, dense: Tensor) -> Self:
        """Keep the structure; choose the stored tensors nearest to `dense` (of this shape)."""

    @abstractmethod
    def forward(self, *tensors: Tensor) -> Tensor:
        """Materialise the tensor of `shape`; gradients flow to `tensors`."""

    @abstractmethod
    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Return, as a vector, the values of `dense` that the innermost Dense holds.

        Raises:
            UserError: nothing dense is left inside.
        """

    @abstractmethod
    def replace_innermost(self, inner: "Representation") -> "Representation":
        """Return a new representation with the innermost Dense replaced by `inner`, which has as many values.

        Raises:
            UserError: nothing dense is left inside.
        """

    @abstractmethod
    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> "Representation":
        """Return a new representation of this form for `dense`, of any shape, with values that this form can hold.

        Args:
            dense: the values after a change of the network's structure.
            tensors: the stored tensors from before that change.
        """

    @abstractmethod
    def to_spec(self) -> dict[str, Any]:
        """Return the structure as JSON: all that `from_spec` and `decode` need besides the shape."""

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted representation (see `representations.build_representation`)."""

    @abstractmethod
    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the buffers and `tensors`."""

    @abstractmethod
    def decode(self, stream: SiteReader) -> Self:
        """Fill this unfitted representation from the bytes that `encode` wrote.

        Raises:
            UserError: the bytes are not what `encode` writes for this spec and shape.
        """


def check_spec_keys(spec: Mapping[str, Any], *keys: str, optional: Sequence[str] = ()) -> None:
    """Refuse a spec with other keys than "kind", `keys` and any of the `optional` ones."""
    expected = ("kind", *keys)
    if set(spec) - set(optional) != set(expected):
        raise UserError(f"representation {spec.get('kind')}: expected the keys {', '.join(expected)}")


def check_whole_number(spec: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """Return the whole number `spec[key]` if it lies in low..high, else refuse it."""
    value = spec[key]
    # `type`, not isinstance: JSON's true is a bool, which is an int.
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"representation {spec['kind']}: {key} must be a whole number in {low}..{high}")
    return value
