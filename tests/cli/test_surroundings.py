"""What is around a command may be broken: its folder, its files, its locale, names that are no UTF-8."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_lines import Call, Pretend

NO_UTF8 = os.fsdecode(b"caf\xe9")


def convarium(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "convarium", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, check=False)


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    program = (
        f"import os, sys; from convarium.cli import main; os.chdir({str(tmp_path)!r}); os.rmdir({str(tmp_path)!r})"
    )
    for arguments, code in (
        (["plan"], 2),
        (["ls"], 2),
        (["--help"], 0),
        (["--version"], 0),
        (["--completion", "bash"], 0),
    ):
        tmp_path.mkdir(exist_ok=True)
        called = [sys.executable, "-c", f"{program}; sys.exit(main({arguments!r}))"]
        done = subprocess.run(called, capture_output=True, text=True, check=False)
        assert done.returncode == code
        expected = "convarium: the working folder can't be read: No such file or directory; cd to one that is there\n"
        assert done.stderr == (expected if code else "")


def broken(path: Path, how: str) -> None:
    """Put something in a YAML's place that is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match how:
        case "latin":
            path.write_bytes("# a comment\nlr: 0.1 # größer\n".encode("latin-1"))
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path.name)
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(bytes(range(1, 9)))


BROKEN = {
    "latin": " line 2 is not UTF-8: save the file in that encoding",
    "dangling": " can't be read: No such file or directory",
    "loop": " can't be read: Too many levels of symbolic links",
    "folder": " can't be read: Is a directory",
    "binary": ": no YAML: special characters are not allowed",
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("sweeps/mine.yaml", "sweep=mine"),
        ("conf/recipe/mine.yaml", "recipe=mine"),
        ("conf/dataset/mine.yaml", "dataset=mine"),
        ("conf/compression/pruning/mine.yaml", "compression=[mine,kmeans]"),
    ],
)
def test_a_file_of_the_users_that_can_not_be_read(here: Path, call: Call, file: str, asked: str, how: str) -> None:
    broken(here / file, how)
    assert call("plan", "--fast", asked) == (2, "", f"convarium: {here / file}{BROKEN[how]}\n")
    assert call("plan", "--fast", "dataset=digits")[0] == 0, "what nobody asks for is in nobody's way"


def test_a_file_that_another_takes_in_is_named(here: Path, call: Call) -> None:
    broken(here / "conf/recipe/inner.yaml", "latin")
    (here / "conf/recipe/mine.yaml").write_text("defaults: [inner]\n")
    assert f"{here / 'conf/recipe/inner.yaml'}{BROKEN['latin']}" in call("plan", "--fast", "recipe=mine")[2]


@pytest.mark.parametrize("key", ["dataset.root", "runtime.store", "dataset.class_names", "recipe.optimizer"])
def test_a_value_that_is_no_utf8(here: Path, call: Call, key: str) -> None:
    (here / NO_UTF8).mkdir()
    expected = f"convarium: {key}=caf\\udce9: is not UTF-8; give the file or folder another name, or link to it\n"
    assert call("plan", "--fast", f"{key}={NO_UTF8}") == (2, "", expected)


@pytest.mark.parametrize(
    "command",
    [["measure"], ["adopt"], ["inspect"], ["verify"], ["store", "merge"], ["show"], ["export", "x", "-o"]],
)
def test_a_file_whose_name_is_no_utf8(here: Path, call: Call, command: list[str]) -> None:
    code, out, err = call(*command, f"{NO_UTF8}/x")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_tables_and_pages_where_names_are_no_utf8(here: Path, call: Call, pretend: Pretend) -> None:
    pretend(["dataset=digits", "architecture=mlp"])
    (here / NO_UTF8).mkdir()
    assert call("compare", "--html", f"{NO_UTF8}/page.html", "--csv", f"{NO_UTF8}/table.csv")[0] == 0
    assert {path.name for path in (here / NO_UTF8).iterdir()} == {"page.html", "table.csv"}
    os.chdir(here / NO_UTF8)
    assert call("plan", "--fast", "dataset=digits", "architecture=mlp")[0] == 0


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_every_text_can_be_written_in_ascii(here: Path, pretend: Pretend, locale: dict[str, str]) -> None:
    pretend(["dataset=digits", "architecture=mlp", "compression=none,[magnitude,kmeans]"])
    commands = [
        "--help",
        "run --help",
        "compare --help",
        "adopt --help",
        "sync --help",
        "ls",
        "compare",
        "catalogue",
        "status",
    ]
    for command in [*commands, "inspect architecture=mlp dataset=digits --table", "plan --fast architecture=mlp"]:
        done = convarium(*command.split(), folder=here, **locale)
        assert (done.returncode, done.stderr) == (0, b""), command
        assert done.stdout.decode("ascii")
    assert "[key=value ...]" in convarium("--help", folder=here, **locale).stdout.decode()
    done = convarium("plan", "nö…", folder=here, PYTHONIOENCODING="ascii")
    assert done.stderr.startswith(b"convarium: 'n\\xf6...' is not an override")
