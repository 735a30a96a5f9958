"""What `torch.save` or `pickle.dump` wrote: a zip archive, torch's older stream of pickles, or one plain pickle."""

import pickle
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import torch

from convarium.errors import UserError
from convarium.weight_files.advice import SAVE_ADVICE
from convarium.weight_files.inert_unpickler import HarmfulImport, InertUnpickler, StorageLoader
from convarium.weight_files.pickled_tensors import Storage

STREAM_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # with which torch's older format begins
LOCAL_HEADER_BYTES = 30  # of a member of a zip archive, before its name
NAME_LENGTH_BYTES, EXTRA_LENGTH_BYTES = slice(26, 28), slice(28, 30)
CAUSES_OF_DAMAGE = (
    pickle.UnpicklingError, BadZipFile, EOFError, OSError, ValueError, TypeError, KeyError, IndexError,
    AttributeError, RuntimeError, OverflowError, MemoryError, ImportError, NotImplementedError,
)  # fmt: skip


def read_checkpoint(path: Path, is_zip: bool) -> Any:
    """Return what a checkpoint holds: tensors, arrays and plain containers, with stubs for all other objects.

    Args:
        path: the file.
        is_zip: whether it is a zip archive.

    Raises:
        UserError: it is cut off or damaged, or it would run something.
    """
    try:
        with path.open("rb") as file:
            return _read_archive(file) if is_zip else _read_stream(file)
    except HarmfulImport as error:
        raise UserError(f"{path} would import {error} to be read, and is refused; {SAVE_ADVICE}") from None
    except CAUSES_OF_DAMAGE as error:
        reason = format_first_sentence(error)
        raise UserError(f"{path} is not a torch checkpoint of tensors, or is cut off: {reason}") from None


def format_first_sentence(error: Exception) -> str:
    """Return the first sentence of what a library says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0][:120]


def _read_archive(file: IO[bytes]) -> Any:
    """Read torch's zip archive: `data.pkl`, and a member `data/KEY` for each storage."""
    with ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickle_name = next(name for name in members if name.endswith("data.pkl"))
        root = pickle_name.removesuffix("data.pkl")
        storages: dict[str, Storage] = {}

        def load_storage(pid: Any) -> Storage:
            _, storage_type, key, *_ = pid
            if key not in storages:
                data = _read_member(archive, file, members[f"{root}data/{key}"])
                storages[key] = Storage(_wrap_bytes(data), storage_type.dtype)
            return storages[key]

        return InertUnpickler(BytesIO(archive.read(pickle_name)), load_storage, _read_nested).load()


def _read_member(archive: ZipFile, file: IO[bytes], info: ZipInfo) -> bytearray:
    """Return the bytes of a storage; without their check sum, which torch can leave out."""
    if info.compress_type != ZIP_STORED:
        return bytearray(archive.read(info))
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER_BYTES)
    name_length = int.from_bytes(header[NAME_LENGTH_BYTES], "little")
    extra_length = int.from_bytes(header[EXTRA_LENGTH_BYTES], "little")
    file.seek(info.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length)
    return bytearray(file.read(info.file_size))


def _read_stream(file: IO[bytes]) -> Any:
    """Read torch's older format (magic number, version, host, content, keys, storages), or a plain pickle."""
    size = file.seek(0, 2)
    file.seek(0)
    found = InertUnpickler(file, _refuse_storage, _read_nested).load()
    if found != STREAM_MAGIC_NUMBER:
        return found
    for _ in ("version", "host"):
        InertUnpickler(file, _refuse_storage, _read_nested).load()
    storages: dict[str, Storage] = {}
    found = InertUnpickler(file, _build_storage_allocator(storages, size), _read_nested).load()
    for key in InertUnpickler(file, _refuse_storage, _read_nested).load():
        _fill_storage(file, storages[key])
    return found


def _build_storage_allocator(storages: dict[str, Storage], file_size: int) -> StorageLoader:
    """Return what makes storages of zeros, by the keys under which their bytes follow the pickle."""

    def load_storage(pid: Any) -> Any:
        kind, *values = pid
        if kind == "module":  # a class, with its source code, which nothing reads
            return values[0]
        storage_type, key, _, count, *views = values
        if key not in storages:
            length = count * storage_type.dtype.itemsize
            if length > file_size:
                raise EOFError("a tensor has more bytes than the file")
            storages[key] = Storage(_wrap_bytes(bytearray(length)), storage_type.dtype)
        view = views[0] if views else None
        if view is None:
            return storages[key]
        _, start, view_count = view
        itemsize = storage_type.dtype.itemsize
        return Storage(storages[key].data[start * itemsize : (start + view_count) * itemsize], storage_type.dtype)

    return load_storage


def _fill_storage(file: IO[bytes], storage: Storage) -> None:
    count = int.from_bytes(file.read(8), "little")
    length = count * storage.dtype.itemsize
    data = file.read(length)
    if len(data) < length or length != storage.data.numel():
        raise EOFError("the file ends before its tensors")
    storage.data.copy_(_wrap_bytes(bytearray(data)))


def _read_nested(data: bytes) -> Any:
    return _read_stream(BytesIO(data))


def _refuse_storage(pid: Any) -> Storage:
    raise pickle.UnpicklingError("it names a tensor that lies in no file")


def _wrap_bytes(data: bytearray) -> torch.Tensor:
    return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
