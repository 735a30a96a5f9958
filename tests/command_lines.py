"""What many tests put on a command line, and the types of the fixtures `call` and `pretend`, which take one."""

from collections.abc import Callable

from convarium.planning.plan import Plan

CliResult = tuple[int, str, str]  # exit code, stdout, stderr
Call = Callable[..., CliResult]
Pretend = Callable[..., Plan]

ONE_WORKER = ("runtime.workers=1", "runtime.threads=1")
IN_PROCESS = ("hydra/launcher=basic", *ONE_WORKER)  # the worker is the tests' own process
HERE = (*IN_PROCESS, "runtime.store=store")  # and the store lies in the current folder

SMALL_MLP = ("architecture=mlp", "dataset=digits", "dataset.train_size=200", "recipe.epochs=1")
SMALL_CONDENSENET = (
    "architecture=condensenet_cifar",
    "architecture.kwargs.depths=[1,1]",
    "architecture.kwargs.growths=[4,8]",
    "dataset=digits",
    "dataset.train_size=200",
)
MLP_ON_FOLDER = (  # a folder `mine` of small grey images
    "architecture=mlp",
    "dataset=image_folder",
    "dataset.root=mine",
    "dataset.img_size=8",
    "dataset.channels=1",
)
