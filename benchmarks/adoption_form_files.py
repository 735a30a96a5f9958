"""The forms in which people have weights, each with a function that writes it into the current folder."""

import argparse
import collections
import copy
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor, nn

Network = nn.Module
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Form:
    """A form of weights.

    Attributes:
        title: what it is.
        write: writes it, and returns the name of its file or folder.
        options: of `adopt`.
        is_architecture_left_out: whether the command names no architecture.
    """

    title: str
    write: Callable[[Network], str]
    options: tuple[str, ...] = ()
    is_architecture_left_out: bool = False


def save(content: Any, name: str = "net.pth", **how: Any) -> str:
    """Save by torch; return the name."""
    torch.save(content, name, **how)
    return name


def prefixed(network: Network, prefix: str) -> Tensors:
    """Return the state dict with a prefix."""
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def averaged(network: Network) -> Tensors:
    """Return other values of the same names, as a moving average has."""
    return {name: tensor / 2 if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()}


def stepped_optimizer(network: Network) -> Any:
    """Return an optimiser that keeps moments of each tensor."""
    network = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return optimizer


def write_timm_checkpoint(network: Network) -> str:
    """Write what timm's train.py writes, with its arguments as a Namespace."""
    args = argparse.Namespace(lr=0.1, output=Path("runs"), model="test_resnet")
    content = {
        "epoch": 3, "arch": "test_resnet", "state_dict": network.state_dict(), "args": args, "version": 2,
        "metric": np.float64(0.9), "state_dict_ema": averaged(network),
    }  # fmt: skip
    return save(content, "checkpoint-3.pth.tar")


def write_torchvision_checkpoint(network: Network) -> str:
    """Write what torchvision's references write."""
    optimizer = stepped_optimizer(network)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    content = {
        "model": network.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(),
        "epoch": 3, "args": argparse.Namespace(lr=0.1),
    }  # fmt: skip
    return save(content, "model_3.pth")


def write_lightning_checkpoint(network: Network) -> str:
    """Write a checkpoint with what Lightning keeps."""
    content = {
        "epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.5", "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.9), "dirpath": "x"}},
        "hyper_parameters": OmegaConf.create({"lr": 0.1}), "lr_schedulers": [],
        "optimizer_states": [stepped_optimizer(network).state_dict()],
        "state_dict": prefixed(network, "model.") | {"loss.weight": torch.ones(10)},
    }  # fmt: skip
    return save(content, "epoch=3.ckpt")


def write_odd_objects(network: Network) -> str:
    """Write objects of many classes beside the tensors."""
    content = {
        "net": network.state_dict(), "acc": np.float32(0.9), "best": collections.deque([1, 2]),
        "history": collections.defaultdict(list, {"loss": [0.1]}), "path": Path("runs/1"),
        "device": torch.device("cpu"), "layer": nn.Linear(2, 2),
        "slice": slice(1, 2), "counts": collections.Counter("aab"), "set": {1, 2},
    }  # fmt: skip
    return save(content)


def write_shards(network: Network) -> str:
    """Write two safetensors files and their index into a folder."""
    folder = Path("sharded")
    folder.mkdir(exist_ok=True)
    state_dict = network.state_dict()
    names = list(state_dict)
    halves = {"model-00001-of-00002.safetensors": names[:40], "model-00002-of-00002.safetensors": names[40:]}
    for file, held in halves.items():
        save_file({name: state_dict[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in halves.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return str(folder)


def write_index(network: Network) -> str:
    """Write shards; return the path of their index."""
    return f"{write_shards(network)}/model.safetensors.index.json"


def write_shard(network: Network) -> str:
    """Write shards; return the path of the first."""
    return f"{write_shards(network)}/model-00001-of-00002.safetensors"


def write_lonely_shard(network: Network) -> str:
    """Write shards, and remove one."""
    source, folder = Path(write_shards(network)), Path("torn")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / "model-00002-of-00002.safetensors").unlink()
    return f"{folder}/model.safetensors.index.json"


def write_model_folder(network: Network) -> str:
    """Write a folder as timm pushes it to Hugging Face."""
    folder = Path("timm_folder")
    folder.mkdir(exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors", {"format": "pt"})
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": {"input_size": [1, 8, 8]}}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def write_bin_folder(network: Network) -> str:
    """Write a folder with pytorch_model.bin."""
    folder = Path("bin_folder")
    folder.mkdir(exist_ok=True)
    save(network.state_dict(), str(folder / "pytorch_model.bin"))
    (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    return str(folder)


def write_transformers_folder(network: Network) -> str:
    """Write a folder as transformers saves a network, whose names and order are its own."""
    folder = Path("transformers_folder")
    folder.mkdir(exist_ok=True)
    save_file({"resnet.embedder.embedder.convolution.weight": torch.zeros(64, 3, 7, 7)}, folder / "model.safetensors")
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"]}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def write_empty_folder(network: Network) -> str:
    """Make a folder without weights."""
    Path("runs").mkdir(exist_ok=True)
    return "runs"


def write_safetensors(network: Network) -> str:
    """Write one safetensors file, with metadata."""
    save_file(network.state_dict(), "net.safetensors", {"format": "pt", "epoch": "3"})
    return "net.safetensors"


def write_with_views(network: Network) -> str:
    """Write tensors that are views of one memory, and one that is not contiguous."""
    state_dict = network.state_dict()
    floats = {name: tensor for name, tensor in state_dict.items() if tensor.is_floating_point()}
    memory = torch.cat([tensor.flatten() for tensor in floats.values()])
    pieces = torch.split(memory, [tensor.numel() for tensor in floats.values()])
    views = {name: piece.view(floats[name].shape) for name, piece in zip(floats, pieces, strict=True)}
    first = next(iter(views))
    views[first] = views[first].transpose(0, 1).contiguous().transpose(0, 1)
    return save({**state_dict, **views})


def write_other_names(network: Network) -> str:
    """Write the tensors in their order under names of another's code."""
    return save({f"layers.{place}.w": tensor for place, tensor in enumerate(network.state_dict().values())})


def write_other_names_and_classes(network: Network) -> str:
    """Write them so, with a classifier of 7 classes."""
    tensors = list(network.state_dict().values())
    tensors[-2:] = [torch.randn(7, tensors[-2].shape[1]), torch.randn(7)]
    return save({f"layers.{place}.w": tensor for place, tensor in enumerate(tensors)})


def write_other_head(network: Network) -> str:
    """Write a backbone under a prefix, and a classifier of another name beside it."""
    tensors = prefixed(network, "backbone.")
    names = list(tensors)[-2:]
    return save({(f"my_head.{name.rpartition('.')[2]}" if name in names else name): tensors[name] for name in tensors})


def write_profiled(network: Network) -> str:
    """Write what is saved after thop has counted."""
    counters = {f"{name}.total_ops".lstrip("."): torch.zeros(1).double() for name, _ in network.named_modules()}
    return save({**network.state_dict(), **counters, "total_params": torch.zeros(1).double()})


def write_without_counters(network: Network) -> str:
    """Write without the counters of batch norm."""
    return save({n: t for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")})


def write_numpy_pickle(network: Network) -> str:
    """Write arrays by pickle alone."""
    Path("net.pkl").write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in network.state_dict().items()}))
    return "net.pkl"


def write_cast(network: Network, dtype: torch.dtype) -> str:
    """Write other floats."""
    return save({n: t.to(dtype) if t.is_floating_point() else t for n, t in network.state_dict().items()})


def write_layer_dicts(network: Network) -> str:
    """Write a dict for each layer."""
    layers: dict[str, Tensors] = {}
    for name, tensor in network.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        layers.setdefault(layer, {})[leaf] = tensor
    return save(layers)


def write_bytes(name: str, data: bytes) -> Callable[[Network], str]:
    """Return what writes a file of these bytes."""

    def write(network: Network) -> str:
        Path(name).write_bytes(data)
        return name

    return write


def write_cut(network: Network) -> str:
    """Write a checkpoint, and cut it in the middle."""
    save(network.state_dict())
    data = Path("net.pth").read_bytes()
    Path("cut.pth").write_bytes(data[: len(data) // 2])
    return "cut.pth"


def write_zipped(network: Network) -> str:
    """Write a checkpoint into a zip archive."""
    save(network.state_dict())
    with ZipFile("net.zip", "w") as archive:
        archive.write("net.pth")
    return "net.zip"


def write_torchscript(network: Network) -> str:
    """Write a program of TorchScript."""
    program = torch.jit.trace(network.eval(), torch.zeros(1, 1, 8, 8))  # type: ignore[no-untyped-call]
    torch.jit.save(program, "net.pt")
    return "net.pt"


def write_npz(network: Network) -> str:
    """Write an archive of arrays."""
    np.savez("net.npz", **{name: tensor.numpy() for name, tensor in network.state_dict().items()})
    return "net.npz"


def write_harmful(network: Network) -> str:
    """Write a pickle that would run a program."""
    import os

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch pwned",)

    return save({"state_dict": network.state_dict(), "note": Harm()})


def write_with_nan(network: Network) -> str:
    """Write values that are no numbers."""
    first, *_ = network.state_dict()
    return save({**network.state_dict(), first: network.state_dict()[first] / 0})


def write_quantised(network: Network) -> str:
    """Write one quantised tensor."""
    first, *_ = network.state_dict()
    quantised = torch.quantize_per_tensor(network.state_dict()[first], 0.1, 0, torch.qint8)
    return save({**network.state_dict(), first: quantised})


FORMS = (
    Form("state dict of `torch.save`", lambda n: save(n.state_dict())),
    Form("the same in torch's older format", lambda n: save(n.state_dict(), _use_new_zipfile_serialization=False)),
    Form("pickle protocol 4", lambda n: save(n.state_dict(), pickle_protocol=4)),
    Form("safetensors, with metadata", write_safetensors),
    Form("timm's train.py: `args: Namespace`, numpy scalars", write_timm_checkpoint),
    Form("its moving average", write_timm_checkpoint, ("--from", "state_dict_ema")),
    Form("torchvision's references: optimiser, schedule, args", write_torchvision_checkpoint),
    Form("Lightning, with callbacks, omegaconf and a loss's weight", write_lightning_checkpoint),
    Form("deque, defaultdict, Path, a layer and other objects beside", write_odd_objects),
    Form("`{'model': …, 'epoch': …}`", lambda n: save({"model": n.state_dict(), "epoch": 3})),
    Form("`{'my_own_name': {…}}`", lambda n: save({"my_own_name": n.state_dict(), "step": 3})),
    Form("the same by its key", lambda n: save({"my_own_name": n.state_dict()}), ("--from", "my_own_name")),
    Form("nested keys", lambda n: save({"a": {"b": n.state_dict(), "c": averaged(n)}}), ("--from", "a.b")),
    Form("a dict in a list", lambda n: save([n.state_dict(), 3])),
    Form("DataParallel: `module.`", lambda n: save(prefixed(n, "module."))),
    Form("torch.compile: `_orig_mod.`", lambda n: save(prefixed(n, "_orig_mod."))),
    Form("both", lambda n: save(prefixed(n, "module._orig_mod."))),
    Form(
        "AveragedModel: `n_averaged` beside", lambda n: save({"n_averaged": torch.tensor(3)} | prefixed(n, "module."))
    ),
    Form(
        "`model.` with `class_weight` beside", lambda n: save(prefixed(n, "model.") | {"class_weight": torch.ones(10)})
    ),
    Form("`class_weight` beside, without prefix", lambda n: save({**n.state_dict(), "class_weight": torch.ones(10)})),
    Form(
        "student and teacher",
        lambda n: save(prefixed(n, "student.") | {f"teacher.{k}": v for k, v in averaged(n).items()}),
    ),
    Form("counters of thop", write_profiled),
    Form("without `num_batches_tracked`", write_without_counters),
    Form("half precision", lambda n: write_cast(n, torch.float16)),
    Form("bfloat16", lambda n: write_cast(n, torch.bfloat16)),
    Form("float64", lambda n: write_cast(n, torch.float64)),
    Form("parameters, not tensors", lambda n: save({**n.state_dict(), **dict(n.named_parameters())})),
    Form("views of one memory", write_with_views),
    Form("arrays of numpy by `torch.save`", lambda n: save({k: v.numpy() for k, v in n.state_dict().items()})),
    Form("arrays of numpy by `pickle.dump`", write_numpy_pickle),
    Form("a dict for each layer", write_layer_dicts),
    Form("shards: the folder", write_shards),
    Form("shards: the index", write_index),
    Form("shards: one of them, the others beside", write_shard),
    Form("folder of Hugging Face, timm's layout", write_model_folder),
    Form("folder with pytorch_model.bin", write_bin_folder),
    Form("other names, same order", write_other_names, ("--by-order",)),
    Form("other names, other classes", write_other_names_and_classes, ("--by-order", "--new-head")),
    Form("a backbone, its classifier under another name", write_other_head, ("--by-order",)),
    Form("the same, with a fresh classifier", write_other_head, ("--new-head",)),
    Form("other names, no option", write_other_names),
    Form("other names and classes, no option", write_other_names_and_classes),
    Form("no `architecture=`", lambda n: save(n.state_dict()), is_architecture_left_out=True),
    Form("a pickle that would run a program", write_harmful),
    Form("a whole pickled module", lambda n: save(nn.Sequential(nn.Linear(2, 2)))),
    Form("a whole module in a dict", lambda n: save({"model": nn.Sequential(nn.Linear(2, 2)), "epoch": 3})),
    Form("a list of tensors", lambda n: save(list(n.state_dict().values()))),
    Form("one tensor", lambda n: save(torch.ones(3, 3))),
    Form("an optimiser's state", lambda n: save(stepped_optimizer(n).state_dict(), "optimizer.pt")),
    Form("two dicts, none of a usual name", lambda n: save({"a": n.state_dict(), "b": averaged(n)})),
    Form("values that are not numbers", write_with_nan),
    Form("a quantised tensor", write_quantised),
    Form("tensors on the meta device", lambda n: save({k: v.to("meta") for k, v in n.state_dict().items()})),
    Form("a sparse tensor", lambda n: save({**n.state_dict(), "w": torch.eye(3).to_sparse()})),
    Form("TorchScript", write_torchscript),
    Form("`.npz`", write_npz),
    Form("ONNX", write_bytes("net.onnx", b"\x08\x0a\x12\x07pytorch")),
    Form("Keras `.h5`", write_bytes("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(64))),
    Form("TensorFlow Lite", write_bytes("net.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(64))),
    Form("an empty file", write_bytes("empty.pth", b"")),
    Form("a text", write_bytes("notes.pth", b"the weights are on the other machine\n")),
    Form("a pointer of git-LFS", write_bytes("lfs.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
    Form("a web page", write_bytes("page.pth", b"<!DOCTYPE html><html><body>Sign in</body></html>")),
    Form("a checkpoint that is cut off", write_cut),
    Form("a checkpoint in a zip archive", write_zipped),
    Form("shards, one of them missing", write_lonely_shard),
    Form("folder of transformers", write_transformers_folder),
    Form("a folder without weights", write_empty_folder),
)
