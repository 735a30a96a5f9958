"""What every stored form of a tensor can do: be fitted, materialised, trained, encoded and decoded."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError

Shape = tuple[int, ...]


class Representation(nn.Module):
    """A stored form, attached by `torch.nn.utils.parametrize`.

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
        """The trainable tensors, as long as they are kept here.

        Raises:
            UserError: they were handed to a network, or were never fitted.
        """
        if self._stored_tensors is None:
            raise UserError("this representation holds no tensors: it is attached to a network")
        return self._stored_tensors

    def right_inverse(self, dense: Tensor) -> tuple[Tensor, ...]:
        """Hand the stored tensors to the network, once; values of `dense` are never looked at.

        Raises:
            UserError: the tensors are already with a network (`module.weight = …` on a represented weight).
        """
        if self._stored_tensors is None:
            raise UserError("a represented weight can't be assigned: detach its representation first")
        stored, self._stored_tensors = self._stored_tensors, None
        return tuple(tensor.to(dense.device) for tensor in stored)

    def materialise(self) -> Tensor:
        """The dense tensor of the stored ones."""
        dense: Tensor = self(*self.stored_tensors)
        return dense

    def reshape_to(self, shape: Sequence[int]) -> Self:
        """The same values in another shape of as many values.

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
        """The values, as a vector, that the innermost Dense holds for the tensor `dense`.

        Raises:
            UserError: nothing dense is left inside.
        """

    @abstractmethod
    def replace_innermost(self, inner: "Representation") -> "Representation":
        """A new representation with the innermost Dense replaced by `inner`, of as many values.

        Raises:
            UserError: nothing dense is left inside.
        """

    @abstractmethod
    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> "Representation":
        """A new one of this form for `dense`, a tensor of any shape whose values this form can hold.

        Args:
            dense: the values after a change of the network's structure.
            tensors: what this representation stored before it.
        """

    @abstractmethod
    def to_spec(self) -> dict[str, Any]:
        """The structure as JSON: what `from_spec` and `decode` need beside the shape."""

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one (see `representations.build_representation`)."""

    @abstractmethod
    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the buffers and `tensors`."""

    @abstractmethod
    def decode(self, stream: SiteReader) -> Self:
        """Fill an unfitted one with what `encode` wrote.

        Raises:
            UserError: the bytes are not what `encode` writes for this spec and shape.
        """


def check_spec_keys(spec: Mapping[str, Any], *keys: str, optional: Sequence[str] = ()) -> None:
    """Refuse a spec with other keys than "kind", `keys` and perhaps some that are `optional`."""
    if set(spec) - set(optional) != {"kind", *keys}:
        raise UserError(f"representation {spec.get('kind')}: expected the keys {', '.join(('kind', *keys))}")


def check_whole_number(spec: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """Return the whole number `spec[key]` if it lies in low..high, else refuse it."""
    value = spec[key]
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"representation {spec['kind']}: {key} must be a whole number in {low}..{high}")
    return value
