"""The command line: one module for each sub-command, imported when it is called; `--help` imports nothing heavy."""

import sys
from collections.abc import Sequence

from convarium.child_process import complete_import_path
from convarium.cli.commands import COMMANDS, import_command
from convarium.cli.interrupts import INTERRUPT_EXIT_CODE, handle_interrupts
from convarium.config.messages import shorten
from convarium.errors import RunCancelled, StageFailed, UserError, is_interrupt
from convarium.robust_streams import use_robust_streams

MAX_ERROR_LINE_CHARS, MAX_REASON_CHARS = 3000, 500
HELP_WORDS = ("-h", "--help", "help")
HELP = f"""Convarium trains, compresses and fairly compares convolutional networks.

usage: convarium COMMAND [key=value …] [options]

{chr(10).join(f"  {name:<11} {text}" for name, text in COMMANDS.items())}

Each command has its own --help. A comma sweeps; sweep=NAME is a saved command line:

  convarium run compression=none,pruning/magnitude compression.magnitude.sparsity=0.8,0.9 seed=0,1,2
  convarium compare sweep=demo

Completion: eval "$(convarium --completion bash)", or zsh
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 done, 1 failed while running, 2 the user's mistake, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with use_robust_streams() as stderr:
        code, line = _run_command(arguments)
        if line:
            from convarium.tracking.tracker_address import mask_passwords

            lines = [shorten(text, MAX_ERROR_LINE_CHARS) for text in mask_passwords(line).split("\n")]
            print("convarium: " + "\n".join(lines), file=stderr)
    return code


def _run_command(arguments: list[str]) -> tuple[int, str]:
    """Run one command; return the exit code, and the line that says why it failed."""
    debug = "--debug" in arguments
    try:
        with handle_interrupts():
            return _dispatch_command([text for text in arguments if text != "--debug"]), ""
    except (Exception, KeyboardInterrupt) as error:
        if is_interrupt(error):
            event = "cancelled by convarium cancel" if isinstance(error, RunCancelled) else "interrupted"
            return INTERRUPT_EXIT_CODE, f"{event}; what is done is stored, the same command continues"
        if debug:
            raise
        if isinstance(error, UserError | OSError):
            return 2, _format_user_error(error)
        reason = shorten(" ".join(str(error).split()), MAX_REASON_CHARS)
        if isinstance(error, StageFailed):
            return 1, reason
        return 1, f"{type(error).__name__}: {reason} (--debug shows where)"


def _dispatch_command(arguments: list[str]) -> int:
    if arguments and arguments[0] in HELP_WORDS:
        command, *arguments = arguments[1:] or [""]
        arguments = [command, "--help"] if command and command not in HELP_WORDS else []
    if not arguments:
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(version("convarium"))
        return 0
    if arguments[0] in ("--completion", "--complete"):
        return _print_completion(*arguments[:2])
    name, *rest = arguments
    if name not in COMMANDS:
        from convarium.config.messages import suggest_nearest
        from convarium.config.suggestions import suggest_command

        raise UserError(f"{name}: no such command{suggest_command(name) or suggest_nearest(name, COMMANDS)}")
    complete_import_path()  # of a user's own modules, named in a YAML of ./conf
    code: int = import_command(name).main(rest)
    return code


def _print_completion(option: str, text: str = "") -> int:
    from convarium.cli.completion import complete_line
    from convarium.cli.completion_scripts import SCRIPTS

    if option == "--completion" and text not in SCRIPTS:
        raise UserError(f"--completion {text}: write --completion bash or --completion zsh")
    if option == "--completion":
        print(SCRIPTS[text], end="")
    else:
        for word in complete_line(text):
            print(word)
    return 0


def _format_user_error(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'input/output'}: {error.strerror}"
    return str(error)
