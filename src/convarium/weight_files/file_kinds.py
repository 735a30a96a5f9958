"""What a file is, told by its first bytes and not by its name; what is no state dict is refused with what to save."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from convarium.errors import UserError
from convarium.weight_files.advice import SAVE_ADVICE

NETWORK_FILE, SAFETENSORS, TORCH_ZIP, TORCH_STREAM = "network_file", "safetensors", "torch_zip", "torch_stream"
START_BYTES = 512
ZIP_MAGIC, PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
TEXT_PICKLE_STARTS = (b"(d", b"(l", b"ccol", b"}q", b"]q")  # of protocol 0 and 1
EXPORT_ADVICE = (
    "adopt takes the tensors of the PyTorch network that it was made of: torch.save(model.state_dict(), 'weights.pth')"
)
TORCHSCRIPT_ADVICE = "save its tensors by torch.save(torch.jit.load({!r}).state_dict(), 'weights.pth'), and adopt these"
ARRAYS_ADVICE = "save them by torch.save(dict(numpy.load({!r})), 'weights.pth'), and adopt these"

# What a file begins with, at which place, and what it is.
FOREIGN_STARTS = (
    (0, b"version https://git-lfs", "a pointer of git-LFS, not the file itself: fetch that by `git lfs pull`"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file (.h5), as Keras writes it; {EXPORT_ADVICE}"),
    (4, b"TFL3", f"a TensorFlow Lite model; {EXPORT_ADVICE}"),
    (0, b"\x93NUMPY", f"an array of numpy (.npy); {SAVE_ADVICE}"),
    (0, b"GGUF", f"a GGUF file; {EXPORT_ADVICE}"),
    (0, b"\x1f\x8b", "compressed by gzip: unpack it, and adopt what is inside"),
    (0, b"BZh", "compressed by bzip2: unpack it, and adopt what is inside"),
    (0, b"\xfd7zXZ\x00", "compressed by xz: unpack it, and adopt what is inside"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it, and adopt what is inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and adopt what is inside"),
    (0, b"Rar!", "a rar archive: unpack it, and adopt what is inside"),
    (257, b"ustar", "a tar archive: unpack it, and adopt what is inside"),
)
FOREIGN_SUFFIXES = {
    ".json": "a JSON text, as it lies beside weights: give the folder",
    ".pb": f"a TensorFlow model; {EXPORT_ADVICE}",
    ".msgpack": f"a checkpoint of Flax; {EXPORT_ADVICE}",
    ".mlmodel": f"a Core ML model; {EXPORT_ADVICE}",
    ".engine": f"a TensorRT engine; {EXPORT_ADVICE}",
}


def detect_kind(path: Path) -> str:
    """Return what a file is: one of the four kinds above.

    Raises:
        UserError: it can't be read, or is of none of these kinds.
    """
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if start[:4] == b"CVM1":
        return NETWORK_FILE
    if start[8:9] == b"{" and start[4:8] == bytes(4):  # a JSON header, after its length as u64
        return SAFETENSORS
    if start[:4] == ZIP_MAGIC:
        _check_torch_archive(path)
        return TORCH_ZIP
    if start[:1] == PICKLE_MAGIC or start.startswith(TEXT_PICKLE_STARTS):
        return TORCH_STREAM
    foreign = _describe_foreign(path, start)
    if foreign is not None:
        raise UserError(f"{path} is not a weights file but {foreign}")
    raise UserError(f"{path} is not a weights file: expected safetensors, a torch checkpoint or a .cvm; {SAVE_ADVICE}")


def _describe_foreign(path: Path, start: bytes) -> str | None:
    if not start:
        return "empty (0 bytes): was the download or the copy interrupted?"
    for place, magic, description in FOREIGN_STARTS:
        if start[place : place + len(magic)] == magic:
            return description
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page: the download gave a page in its place"
    if b"onnx" in start[:64] or path.suffix.lower() == ".onnx":
        return f"an ONNX model; {EXPORT_ADVICE}"
    return FOREIGN_SUFFIXES.get(path.suffix.lower()) or _describe_text(start)


def _describe_text(start: bytes) -> str | None:
    """Say that a file is text, where it is."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError:
        return None
    first_line = text.strip().partition("\n")[0].strip()[:40]
    return f"a text ({first_line!r}); {SAVE_ADVICE}" if first_line.isprintable() else None


def _check_torch_archive(path: Path) -> None:
    """Refuse a zip archive that `torch.save` did not write."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError, NotImplementedError, ValueError):
        raise UserError(
            f"{path} is not a torch checkpoint of tensors, or is cut off: its table of contents, at the end, is missing"
        ) from None
    leaves = {name.rpartition("/")[2] for name in names}
    if any(name.endswith(".npy") for name in names):
        what = f"arrays of numpy (.npz): {ARRAYS_ADVICE.format(str(path))}"
    elif "constants.pkl" in leaves:
        what = f"a TorchScript program: {TORCHSCRIPT_ADVICE.format(str(path))}"
    elif "archive_format" in leaves or "serialized_exported_program.json" in leaves:
        what = f"a program of torch.export; {EXPORT_ADVICE}"
    elif "model.weights.h5" in leaves:
        what = f"a model of Keras; {EXPORT_ADVICE}"
    elif "data.pkl" not in leaves:
        what = f"a zip archive of {', '.join(sorted(names)[:3]) or 'nothing'}: unpack it, and adopt what is inside"
    else:
        return
    raise UserError(f"{path} is not a weights file but {what}")
