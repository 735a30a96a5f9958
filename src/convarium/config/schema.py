"""The closed groups: every key, its type and range, and its default where a YAML leaves it out."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

Positive = Annotated[int, "1.."]
Fraction = Annotated[float, "0..1"]
LAYER_KEYS = ("activation", "norm", "pooling", "dropout")  # of `architecture`, where a network of ours takes them


@dataclass(frozen=True)
class ArchitectureConfig:
    """A network by source and name; in_chans, num_classes and img_size are the dataset's where they are null.

    `weights` is the signature of adopted weights (`convarium adopt`), which take the place of training. `pretrained`
    trains from the weights that the library publishes for the name, with a fresh classifier for other classes.
    """

    source: Literal["own", "timm", "torchvision"]
    name: str
    in_chans: Positive | None = None
    num_classes: Positive | None = None
    img_size: Positive | None = None
    stem: Literal["native", "small"] = "native"
    weights: str | None = None
    pretrained: bool = False


@dataclass(frozen=True)
class DatasetConfig:
    """The keys that every dataset has; a dataset may have knobs of its own as well."""

    name: str
    channels: Positive
    classes: Positive | None = None
    native_size: Positive | None = None
    img_size: Positive | None = None
    train_size: Positive | None = None
    fingerprint: str | None = None
    root: str | None = None


@dataclass(frozen=True)
class TaskConfig:
    """What a network is trained for."""

    name: Literal["classification"]


@dataclass(frozen=True)
class RecipeConfig:
    """Optimiser, schedule, epochs, augmentation and precision under one name; what goes with what: `config.recipe`."""

    optimizer: Annotated[str, "; sgd, adam, adamw, or one of torch such as torch.optim:NAdam"]
    lr: Annotated[float, "0.."]
    epochs: Positive
    batch_size: Positive
    momentum: Fraction = 0.0
    weight_decay: Annotated[float, "0.."] = 0.0
    schedule: Literal["constant", "cosine", "step", "multistep", "exponential", "one_cycle"] = "constant"
    warmup_epochs: Annotated[int, "0.."] = 0
    augmentation: Literal["none", "crop", "crop_flip", "resized_crop_flip"] = "none"
    label_smoothing: Fraction = 0.0
    gradient_clip: Annotated[float | None, "0.001.."] = None
    precision: Literal["32", "bf16"] = "32"
    early_stop: Positive | None = None
    final_weights: Literal["last", "best", "ema"] = "last"
    optimizer_kwargs: dict[str, Any] = field(default_factory=dict)
    weight_decay_on: Literal["all", "weights"] = "all"
    schedule_kwargs: dict[str, Any] = field(default_factory=dict)
    smallest_crop: Annotated[float, "0.01..1"] = 0.08
    policy: Literal["none", "rand_augment", "trivial_augment"] = "none"
    policy_ops: Positive = 2
    policy_magnitude: Annotated[int, "0..30"] = 9
    erasing: Fraction = 0.0
    mixup: Annotated[float, "0.."] = 0.0
    cutmix: Annotated[float, "0.."] = 0.0
    accumulate: Positive = 1
    ema_decay: Fraction = 0.999


@dataclass(frozen=True)
class BudgetConfig:
    """What the finished network may cost, by one quantity at most; 1 or less is a share of the dense network's."""

    bytes: Positive | None = None
    macs: Annotated[float, "0.."] | None = None
    parameters: Annotated[float, "0.."] | None = None
    latency: Fraction | None = None
    sparsity: Fraction | None = None


@dataclass(frozen=True)
class MeasurementConfig:
    """How the network is timed, if at all; quality, bytes and MACs are always measured.

    Latency is measured for each executor with each batch size. Tables show the first of both. `cpu` and `gpu` name the
    hardware that times and executions are for, null that of the planning host; workers on other hardware leave them.
    """

    executors: list[Literal["eager", "compiled", "onnxruntime", "onnxruntime_int8"]] = field(default_factory=list)
    batch_sizes: list[Positive] = field(default_factory=lambda: [1])
    threads: Positive = 1
    device: Literal["cpu", "gpu"] = "cpu"
    cpu: str | None = None
    gpu: str | None = None


@dataclass(frozen=True)
class RuntimeConfig:
    """Where and on what hardware it runs; never part of a result's identity.

    What is for hardware that no worker has ends after `idle_minutes` without one. A fit writes a checkpoint in
    mid-epoch when its last one is `checkpoint_minutes` old; null or 0: at the ends of epochs alone.
    """

    store: str = "outputs/store"
    workers: Positive | None = None
    threads: Positive | None = None
    devices: Positive = 1
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    idle_minutes: Annotated[float, "0.."] = 10.0
    checkpoint_minutes: Annotated[float, "0.."] | None = 10.0


@dataclass(frozen=True)
class TrackingConfig:
    """The view of the store in MLflow; `uri` null is a SQLite file next to the store."""

    name: Literal["none", "mlflow"] = "none"
    uri: str | None = None
    experiment: str = "convarium"


@dataclass(frozen=True)
class SweepConfig:
    """A saved command line: `grids` is a list of lists of overrides, of which the union is taken.

    With `controls` every grid's compressed points get the controls to compare them with (`compose.control_grids`). A
    `check` is the claim that the catalogue checks the sweep's figures against (`ClaimConfig`).
    """

    description: str
    expected_time: str
    grids: list[Any]
    skip_invalid: bool = False
    controls: bool = False
    check: dict[str, Any] | None = None


@dataclass(frozen=True)
class SearchConfig:
    """A search, but for its strategy and evaluator, which are checked by their own YAML."""

    trials: Positive
    seed: Annotated[int, "0.."]
    ahead: Annotated[int, "0.."]
    objectives: list[str]
    constraints: dict[str, Any]
    first: list[Any]
    seconds: Annotated[float | None, "1.."] = None
    save: str | None = None
    control: Literal["random"] | None = None


@dataclass(frozen=True)
class ClaimConfig:
    """A claim about a system of the review, and when it holds for the means of a row of a comparison.

    Attributes:
        chain: the row's methods.
        metric: the figure that the claim is about; `accuracy_delta_pp` is the difference in test accuracy, in pp.
        published: its value as published, in `unit`.
        direction: which side of it is better.
        holds: conditions as in `compare --where`, all of which must be met.
        most_lost: pp of test accuracy to the dense network, on average; below 0: to be gained; null: not asked.
        least_shown: what the lower end of that difference's 95 % interval must exceed, in pp; null: not asked.
        better_than: chains of other rows, [] is the dense network: each of them must have a lower mean test accuracy.
        of_dense: the figure is taken as a share of the dense network's.
    """

    chain: list[Any]
    metric: str
    published: float
    unit: str
    direction: Literal["higher", "lower"]
    holds: list[Any]
    most_lost: float | None = None
    least_shown: float | None = None
    better_than: list[Any] | None = None
    of_dense: bool = False


CLOSED_GROUPS: dict[str, type] = {
    "task": TaskConfig,
    "recipe": RecipeConfig,
    "budget": BudgetConfig,
    "measurement": MeasurementConfig,
    "runtime": RuntimeConfig,
    "tracking": TrackingConfig,
}
