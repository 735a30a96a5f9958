"""An override of a command line: its text, and names for the parts that code asks for."""


class Override(str):
    """One `key=value` exactly as it was typed; a text like any other to Hydra's parser, to JSON and to a shell."""

    __slots__ = ()

    @property
    def prefix(self) -> str:
        """Hydra's `+`, `++` or `~` before the key; empty where there is none."""
        return self[: len(self) - len(self.lstrip("+~"))]

    @property
    def key(self) -> str:
        """What is set, without the prefix: a group (`recipe`) or a dotted key (`recipe.epochs`)."""
        return self.lstrip("+~").partition("=")[0]

    @property
    def value(self) -> str:
        """The text after the first `=`, in Hydra's grammar; empty where there is none."""
        return self.partition("=")[2]

    @property
    def group(self) -> str:
        """The first part of the key, which it has in common with all that is set of the same group."""
        return self.key.partition(".")[0]

    @property
    def method(self) -> str | None:
        """The compression method whose knob it sets; None where it sets something else."""
        group, _, knob = self.key.partition(".")
        return knob.partition(".")[0] if group == "compression" and knob else None
