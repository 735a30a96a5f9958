"""Names read from the libraries' source are those that the libraries themselves list."""

import subprocess
import sys

from convarium.architectures import from_timm, from_torchvision
from convarium.architectures.library_names import read_library_names


def test_they_are_the_names_that_the_libraries_list() -> None:
    assert set(read_library_names("timm")) == set(from_timm.list_names())
    assert set(read_library_names("torchvision")) == set(from_torchvision.list_names())


def test_a_mistyped_architecture_imports_no_library() -> None:
    code = (
        "import sys; from convarium.cli import main; code = main(['plan', '--fast', 'architecture=resnet26t']);"
        "print(code, sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"
    assert "did you mean architecture=timm architecture.name=resnet26t?" in done.stderr
