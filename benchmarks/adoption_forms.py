"""Which forms of weights `convarium adopt` takes, and what it says of those that it refuses.

usage: python benchmarks/adoption_forms.py > docs/results/adoption.md

One small network (test_resnet of timm, 0.4 million parameters, images of scikit-learn's digits) is saved in each form
that `adoption_form_files.py` lists, and each file is given to the command as a user would. Nothing is fetched.
"""

import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any

import torch

from adoption_form_files import FORMS, Form, Network
from convarium.architectures import factory
from convarium.cli import main as run_convarium
from convarium.compose.points import compose_points

DATA = ("dataset=digits", "dataset.train_size=200")
ARCHITECTURE = ("architecture=timm", "architecture.name=test_resnet")
MAX_LINE_CHARS = 420

Json = dict[str, Any]


def main() -> None:
    """Write each form, adopt it, and print the page."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    network = build_network()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        torch.save(network.state_dict(), "weights.pth")
        _, plain = adopt("weights.pth", *ARCHITECTURE)
        signature = json.loads(plain)["adopted"]["signature"]
        lines = [describe_form(form, network, signature) for form in FORMS]
    taken = [line for is_taken, line in lines if is_taken]
    refused = [line for is_taken, line in lines if not is_taken]
    print(PAGE.format(count=len(FORMS), taken="\n".join(taken), refused="\n".join(refused)), end="")


def build_network() -> Network:
    """Return the network that is saved, with weights drawn from seed 0."""
    (point,) = compose_points([*ARCHITECTURE, *DATA]).check_points()
    torch.manual_seed(0)
    network = factory.build_architecture(point.config["architecture"])
    network(torch.randn(8, 1, 8, 8))  # statistics of batch norm that are not those of a fresh one
    return network


def describe_form(form: Form, network: Network, signature: str) -> tuple[bool, str]:
    """Return whether a form gets in, and its line of the table."""
    name = form.write(network)
    architecture = () if form.is_architecture_left_out else ARCHITECTURE
    code, said = adopt(name, *form.options, *architecture)
    options = " ".join(form.options)
    command = f"`adopt {name}{' ' + options if options else ''}`"
    if code != 0:
        line = said.strip().removeprefix("convarium: ")
        return False, f"| {form.title} | {command} | {escape(line)} |"
    adopted = json.loads(said)["adopted"]
    same = "yes" if adopted["signature"] == signature else "no"
    return True, f"| {form.title} | {command} | {escape('; '.join(adopted['said']))} | {same} |"


def adopt(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code, and its JSON document or its line."""
    out, error = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        code = run_convarium(["adopt", *arguments, *DATA, "--json"])
    return code, error.getvalue() if code else out.getvalue()


def escape(line: str) -> str:
    """Return a line as a cell of a table."""
    return line.replace("|", "\\|")[:MAX_LINE_CHARS]


PAGE = """# Adoption: forms of weights

`python benchmarks/adoption_forms.py > docs/results/adoption.md` saves one small network (timm's test_resnet) in
{count} forms, and gives each to `convarium adopt`. What a real network of others does on photographs is on
[its own page](adoption_photographs.md).

## What gets in

The last column says whether its signature is that of the plain state dict. It is another network where values are
others (half precision, moving averages) or where a classifier is fresh.

| form | command | what it says | same |
|---|---|---|---|
{taken}

## What is refused

Each with exit code 2 and one line.

| form | command | its line |
|---|---|---|
{refused}
"""


if __name__ == "__main__":
    main()
