"""What a colleague would point to: words of other tools and of everyday speech, and what to type for them here.

`{}` stands for the value that was typed. Only words that are no name here are looked up.
"""

import re
from collections.abc import Iterable, Mapping

from convarium.config.messages import MAX_LISTED_WORDS

RECIPE_POINTER = "recipe=sgd_cosine, or recipe.epochs=… and others (convarium options recipe)"
COMMANDS_MEANT = {
    "train": "run", "fit": "run", "start": "run", "compress": "run", "prune": "run compression=magnitude",
    "quantize": "run compression=uniform", "distill": "run compression=kd", "sweep": "run sweep=NAME",
    "eval": "measure", "evaluate": "measure", "test": "measure", "benchmark": "run measurement.executors=[onnxruntime]",
    "import": "adopt", "load": "adopt", "why": "diff", "explain": "diff", "serve-check": "verify", "check": "verify",
    "validate": "plan", "dry-run": "plan", "list": "ls", "results": "ls", "rm": "gc", "clean": "gc", "delete": "gc",
    "remove": "gc", "merge": "store merge", "report": "compare --html FILE", "table": "compare",
    "summary": "inspect", "info": "show", "logs": "show SIGNATURE --log", "log": "show SIGNATURE --log",
    "mlflow": "ui", "convert": "export", "onnx": "export SIGNATURE --format onnx -o net.onnx", "config": "options",
    "configs": "options", "models": "options architecture", "methods": "options compression",
    "datasets": "options dataset", "version": "--version", "tune": "search",
    "optimize": "search", "hpo": "search", "optuna": "search", "retry": "run --retry failed", "resume": "run",
    "stop": "cancel", "kill": "cancel", "abort": "cancel", "scancel": "cancel", "squeue": "status", "jobs": "status",
    "sbatch": "run hydra/launcher=slurm --detach", "submit": "run hydra/launcher=slurm --detach",
}  # fmt: skip
KEYS_MEANT = {
    "model": "architecture={}", "arch": "architecture={}", "net": "architecture={}", "network": "architecture={}",
    "backbone": "architecture={}", "data": "dataset={}", "datasets": "dataset={}", "data_dir": "dataset.root={}",
    "data_root": "dataset.root={}", "root": "dataset.root={}", "img_size": "dataset.img_size={}",
    "image_size": "dataset.img_size={}", "train_size": "dataset.train_size={}",
    "pretrained": "architecture=timm architecture.name=resnet18 architecture.pretrained={}",
    "weights": "architecture.weights={}", "method": "compression={}", "compress": "compression={}",
    "pruning": "compression=magnitude", "prune": "compression=magnitude", "quantization": "compression=uniform",
    "quantize": "compression=uniform", "distillation": "compression=kd", "teacher": "compression=kd",
    "sparsity": "compression=magnitude compression.magnitude.sparsity={}",
    "bits": "compression=uniform compression.uniform.bits={}",
    "optimizer": "recipe.optimizer={}", "optim": "recipe.optimizer={}", "lr": "recipe.lr={}",
    "learning_rate": "recipe.lr={}", "epochs": "recipe.epochs={}", "epoch": "recipe.epochs={}",
    "max_epochs": "recipe.epochs={}", "num_epochs": "recipe.epochs={}", "batch_size": "recipe.batch_size={}",
    "batch": "recipe.batch_size={}", "bs": "recipe.batch_size={}", "momentum": "recipe.momentum={}",
    "wd": "recipe.weight_decay={}", "weight_decay": "recipe.weight_decay={}", "scheduler": "recipe.schedule={}",
    "schedule": "recipe.schedule={}", "lr_scheduler": "recipe.schedule={}", "warmup": "recipe.warmup_epochs={}",
    "augment": "recipe.augmentation={}", "augmentation": "recipe.augmentation={}", "precision": "recipe.precision={}",
    "early_stopping": "recipe.early_stop={}", "label_smoothing": "recipe.label_smoothing={}",
    "trainer": RECIPE_POINTER, "training": RECIPE_POINTER, "gpu": "runtime.accelerator=gpu",
    "gpus": "runtime.accelerator=gpu", "cuda": "runtime.accelerator=gpu", "device": "runtime.accelerator={}",
    "accelerator": "runtime.accelerator={}", "workers": "runtime.workers={}", "num_workers": "runtime.workers={}",
    "jobs": "runtime.workers={}", "threads": "runtime.threads={}", "store": "runtime.store={}",
    "output": "runtime.store={}", "output_dir": "runtime.store={}", "seeds": "seed={}", "random_seed": "seed={}",
    "executors": "measurement.executors=[{}]", "executor": "measurement.executors=[{}]",
    "latency": "measurement.executors=[onnxruntime]", "bytes": "budget.bytes={}", "size": "budget.bytes={}",
    "macs": "budget.macs={}", "flops": "budget.macs={}", "mlflow": "tracking=mlflow", "logger": "tracking=mlflow",
    "experiment": "tracking=mlflow tracking.experiment={}", "config": "sweep={}", "launcher": "hydra/launcher={}",
    "n_trials": "search.trials={}", "trials": "search.trials={}", "num_samples": "search.trials={}",
    "timeout": "search.seconds={}", "sampler": "search/strategy={}", "strategy": "search/strategy={}",
    "hparams_search": "convarium search (docs/how-to/search.md)", "search": "convarium search, which takes it",
    "pruner": "search/pruner={}", "direction": "search.objectives=[accuracy]", "objectives": "search.objectives=[{}]",
    "detach": "nohup convarium search … &: it needs its controller, which asks",
}  # fmt: skip
# Keys that only another option of their group has.
KEYS_OF_OPTIONS = {"tracking.uri": "tracking=mlflow", "tracking.experiment": "tracking=mlflow",
                   "architecture.pretrained": "architecture=timm architecture.name=NAME",
                   "architecture.stem": "architecture=timm architecture.name=NAME"}  # fmt: skip
OPTIONS_MEANT: Mapping[str, Mapping[str, str]] = {
    "architecture": {"lenet": "lenet5", "resnet": "resnet20", "vgg": "vgg16", "mobilenet": "mobilenet_v2",
                     "efficientnet": "efficientnet_b0", "vit": "vit_tiny", "wide_resnet": "wrn_16_4"},
    "dataset": {"imagenet1k": "imagenet", "ilsvrc2012": "imagenet", "imagefolder": "image_folder",
                "folder": "image_folder", "custom": "image_folder", "fmnist": "fashion_mnist", "cifar": "cifar10"},
    "compression": {"prune": "magnitude", "unstructured": "magnitude", "l1": "filter_l1", "structured": "filter_l1",
                    "filters": "filter_l1", "channel": "filter_l1", "lamp": "global_gradual", "quantize": "uniform",
                    "quant": "uniform", "int8": "uniform", "int4": "compression=uniform compression.uniform.bits=4",
                    "ptq": "compression=uniform compression.uniform.epochs=0", "qat": "uniform", "lsq": "uniform",
                    "binary": "bwn", "binarize": "bwn", "xnor": "bwn",
                    "ternary": "compression=levels compression.levels.quant_max=1",
                    "clustering": "kmeans", "weight_sharing": "kmeans", "distillation": "kd", "distill": "kd",
                    "knowledge_distillation": "kd", "low_rank": "svd", "lowrank": "svd", "factorization": "svd",
                    "zip": "xz", "gzip": "xz", "lzma": "xz", "entropy": "arithmetic", "iso": "nncodec",
                    "deep_compression": "[magnitude,kmeans,huffman]", "dense": "none", "null": "none"},
    "recipe": {"sgd": "sgd_cosine", "default": "sgd_cosine", "cosine": "sgd_cosine", "adam": "adamw"},
    "measurement": {"latency": "measurement.executors=[onnxruntime]", "none": "measurement.executors=[]"},
    "tracking": {"wandb": "mlflow", "tensorboard": "mlflow", "true": "mlflow", "false": "none"},
    "runtime": {"gpu": "runtime.accelerator=gpu", "cuda": "runtime.accelerator=gpu", "cpu": "runtime.accelerator=cpu"},
}  # fmt: skip
VALUES_MEANT = {
    "cuda": "gpu", "cuda:0": "gpu", "momentum": "sgd", "rmsprop": "torch.optim:RMSprop", "nadam": "torch.optim:NAdam",
    "radam": "torch.optim:RAdam", "adagrad": "torch.optim:Adagrad", "fp16": "bf16", "float16": "bf16",
    "bfloat16": "bf16", "16-mixed": "bf16", "fp32": "32", "float32": "32", "ort": "onnxruntime", "onnx": "onnxruntime",
    "int8": "onnxruntime_int8", "torch": "eager", "pytorch": "eager", "compile": "compiled", "flip": "crop_flip",
}  # fmt: skip
METRICS_MEANT = {
    "acc": "accuracy", "top1": "accuracy", "val_acc": "validation_accuracy", "val_accuracy": "validation_accuracy",
    "bytes": "file_bytes", "size": "file_bytes", "params": "parameters", "flops": "macs", "mac": "macs",
    "compression": "ratio", "compression_ratio": "ratio", "latency": "latency_ms", "time": "latency_ms",
    "ms": "latency_ms", "memory": "peak_memory_bytes", "speed": "speedup", "sparsity": "nonzeros",
}  # fmt: skip
UNIT_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m|g|ki|mi|gi)?b?", re.IGNORECASE)
UNIT_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
PERCENT_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*%")
INTERVAL_PATTERN = re.compile(r"(\d+)\s*(?:-|:|\.\.)\s*(\d+)")


def suggest_command(word: str) -> str:
    """Return "; write convarium …" for the word of a command that is called otherwise here, else nothing."""
    meant = COMMANDS_MEANT.get(word.lower().replace("_", "-"))
    return f"; write convarium {meant}" if meant else ""


def suggest_key(key: str, value: str) -> str:
    """Return "; write …" for a key without its group, or under the name that other tools give it, else nothing."""
    meant = KEYS_MEANT.get(_normalise(key))
    if meant is None:
        return ""
    return f"; write {meant.format(VALUES_MEANT.get(value.lower(), value) or '…')}"


def suggest_key_of_group(group: str, key: str) -> str:
    """Return what to write for a key that its group calls otherwise or that another option has, else nothing."""
    option = KEYS_OF_OPTIONS.get(f"{group}.{key}")
    if option:
        return f"; add {option}"
    meant = KEYS_MEANT.get(_normalise(key), "").partition("=")[0]
    return f" (did you mean {meant.partition('.')[2]}?)" if meant.startswith(f"{group}.") else ""


def suggest_option(group: str, name: str, known: Iterable[str]) -> str:
    """Return what to write for an option under another name, or for a section of a group; nothing if it is neither."""
    meant = OPTIONS_MEANT.get(group, {}).get(_normalise(name))
    if meant:
        return f"; write {_format_choice(group, meant)}"
    members = [option for option in known if option.startswith(f"{name}/")]
    if name and members:
        listed = ", ".join(members[:MAX_LISTED_WORDS])
        rest = ", …" if len(members) > MAX_LISTED_WORDS else ""
        return f": it is a section, choose one of {listed}{rest} (convarium options {group}/{name})"
    return ""


def suggest_word(word: str, options: Mapping[str, Iterable[str]], sweeps: Iterable[str]) -> str:
    """Return "; write …" for a word that was typed without its key: an option, a sweep, or another name of one.

    Args:
        options: the names of each group's options.
        sweeps: the names of the saved sweeps.
    """
    for group, names in options.items():
        for name in names:
            if word != "none" and _normalise(word) in (name, name.rpartition("/")[2]):
                return f"; write {group}={name}"
    if word in sweeps:
        return f"; write sweep={word}"
    for group, names in options.items():
        suggestion = suggest_option(group, word, names)
        if suggestion:
            return suggestion.replace(": it is a section", f"; {group} has such a section")
    return ""


def suggest_value(value: str, choices: Iterable[object]) -> str:
    """Return the choice that a word of other tools means, or nothing."""
    meant = VALUES_MEANT.get(value.lower())
    return f" (did you mean {meant}?)" if meant and meant in choices else ""


def suggest_metric(name: str, known: Iterable[str]) -> str:
    """Return the figure that a word of other tools means, or nothing."""
    meant = METRICS_MEANT.get(_normalise(name))
    return f" (did you mean {meant}?)" if meant and meant in known else ""


def suggest_number(text: str, where: str, is_whole: bool) -> str:
    """Return how a number with a unit, a share in percent or an interval of whole numbers is typed, or nothing."""
    interval = INTERVAL_PATTERN.fullmatch(text)
    if interval:
        first, last = int(interval[1]), int(interval[2])
        return f"; write {where}=range({first},{last + 1})" if is_whole and first < last else ""
    percent = PERCENT_PATTERN.fullmatch(text)
    if percent:
        return "" if is_whole else f"; write {where}={float(percent[1]) / 100:g}"
    match = UNIT_PATTERN.fullmatch(text)
    if match and match[2]:
        return f"; write {where}={round(float(match[1]) * UNIT_FACTORS[match[2].lower()])}"
    return ""


def _format_choice(group: str, meant: str) -> str:
    return meant if "=" in meant else f"{group}={meant}"


def _normalise(word: str) -> str:
    return word.lower().replace("-", "_").lstrip("_")
