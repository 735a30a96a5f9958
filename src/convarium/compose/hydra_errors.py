"""The one line of an error of Hydra, OmegaConf or YAML that says what is wrong."""

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError
from yaml.reader import ReaderError

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, ValueError, ArithmeticError, AssertionError)


def format_config_error(error: BaseException) -> str:
    """Return the line of the error's message that says what is wrong, with the key or file where it is."""
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, YAMLError) and mark is not None:
        problem = getattr(error, "problem", None) or "no YAML"
        return f"{mark.name} line {mark.line + 1}: {problem}"
    if isinstance(error, ReaderError):
        return f"{error.name}: no YAML: {error.reason}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = getattr(error, "full_key", None)
    if error.__cause__ is not None and (not lines or lines[0].startswith("Error merging")):
        return format_config_error(error.__cause__)
    line = lines[0] if lines else type(error).__name__
    return f"{key}: {line}" if key and str(key) not in line else line
