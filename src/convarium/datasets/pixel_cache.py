"""Cache of decoded pixels: one file for each part of a dataset next to the store, mapped into memory."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from convarium.datasets.folder_images.probe_image import UnreadableImage
from convarium.datasets.image_decoding import DECODER_VERSION, decode_image
from convarium.datasets.splits import ImagePaths, RawImages
from convarium.errors import UserError
from convarium.store.disk import open_shared_file

# Files handed to the threads at a time: a pool decodes all that it is given, and would hold the pixels of every file.
FILES_PER_BATCH = 256
CACHE_KEY_FIELDS = ("name", "fingerprint", "channels", "img_size", "on_error", "crop", "interpolation")
PIXELS_FILE, LABELS_FILE, ABOUT_FILE = "pixels", "labels.npy", "about.json"


def find_cached_pixels(dataset: Mapping[str, Any], part: str, cache: Path | None) -> RawImages | None:
    """Return the pixels of a part that were decoded before, None where there are none or they are damaged."""
    folder = _find_cache_folder(dataset, part, cache)
    if folder is None or not folder.is_dir():
        return None
    try:
        return _map_pixels(folder)
    except PermissionError:  # the cache of another user: not damaged, and not ours to remove
        return None
    except (OSError, ValueError, RuntimeError):
        with suppress(OSError):
            for name in (ABOUT_FILE, LABELS_FILE, PIXELS_FILE):
                (folder / name).unlink(missing_ok=True)
        return None


def decode_files(files: ImagePaths, dataset: Mapping[str, Any], part: str, cache: Path | None) -> RawImages:
    """Decode a part's files to squares of `dataset.img_size`; without `cache` the pixels last as long as the process.

    Raises:
        UserError: a file is not an image and `dataset.on_error` is not "skip", or it leaves a class without images.
        OSError: the disk has no room for the pixels.
    """
    folder = _find_cache_folder(dataset, part, cache)
    if folder is not None:
        # A cache that we may not write to, or that is not a folder, is done without.
        with suppress(PermissionError, FileExistsError, NotADirectoryError), _lock_cache_folder(folder):
            # Another process may have decoded the files while this one waited for the lock.
            pixels = find_cached_pixels(dataset, part, cache)
            if pixels is None:
                _decode_into_cache(folder, files, dataset, part)
                pixels = _map_pixels(folder)
            return pixels
    # The folder goes at once; what is mapped of its file stays until the process ends.
    with TemporaryDirectory(prefix="convarium-pixels-") as temporary:
        _write_decoded(Path(temporary), files, dataset, part)
        return _map_pixels(Path(temporary))


def _find_cache_folder(dataset: Mapping[str, Any], part: str, cache: Path | None) -> Path | None:
    """Return where a part's pixels are kept, None where they are not: without a cache, or without a fingerprint."""
    if cache is None or not dataset.get("fingerprint"):
        return None
    fields = [dataset.get(key) for key in CACHE_KEY_FIELDS]
    value_range = dataset.get("value_range") or ()
    identity = [DECODER_VERSION, part, *fields, *value_range]
    key = sha256(json.dumps(identity).encode()).hexdigest()[:16]
    name = dataset["name"].replace("/", "_")
    return cache / "pixels" / f"{name}-{part}-{key}"


@contextmanager
def _lock_cache_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time decode; on a file system without locks several may do the same work."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = open_shared_file(folder.with_name(f"{folder.name}.lock"))
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _decode_into_cache(folder: Path, files: ImagePaths, dataset: Mapping[str, Any], part: str) -> None:
    draft = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        draft.mkdir()  # with the permissions of the umask: tempfile's folders are closed to other users
        _write_decoded(draft, files, dataset, part)
        with suppress(OSError):  # another process was first
            draft.rename(folder)
    finally:
        rmtree(draft, ignore_errors=True)


def _write_decoded(folder: Path, files: ImagePaths, dataset: Mapping[str, Any], part: str) -> None:
    size, channels = dataset["img_size"], dataset["channels"]
    crop, interpolation = dataset.get("crop", 1.0), dataset.get("interpolation", "bilinear")
    images = _decode_in_order(files.paths, (size, channels, crop, interpolation, dataset.get("value_range")))
    may_skip = dataset.get("on_error") == "skip"
    labels = []
    with (folder / PIXELS_FILE).open("wb") as stream:
        for path, label, image in zip(files.paths, files.labels.tolist(), images, strict=True):
            if not isinstance(image, UnreadableImage):
                stream.write(image.tobytes())
                labels.append(label)
            elif not may_skip:
                raise UserError(f"{path} {image}; remove it, or set dataset.on_error=skip")
    empty_classes = sorted(set(files.labels.tolist()) - set(labels))
    if empty_classes:
        label = empty_classes[0]
        class_names = dataset.get("class_names")
        class_name = class_names[label] if class_names else label
        raise UserError(f"no file of the class {class_name!r} for {part} is an image")
    np.save(folder / LABELS_FILE, np.array(labels, dtype=np.int64))
    skipped = files.skipped + len(files.paths) - len(labels)
    about = {"shape": [len(labels), size, size, channels], "skipped": skipped}
    (folder / ABOUT_FILE).write_text(json.dumps(about))


def _decode_in_order(
    paths: Sequence[Path], decoder_arguments: tuple[Any, ...]
) -> Iterator[NDArray[np.uint8] | UnreadableImage]:
    """Decode in order, with as many threads as torch may use.

    Args:
        decoder_arguments: what `decode_image` takes after the path.
    """

    def decode(path: Path) -> NDArray[np.uint8] | UnreadableImage:
        try:
            return decode_image(path, *decoder_arguments)
        except UnreadableImage as error:
            return error

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(paths), FILES_PER_BATCH):
            yield from pool.map(decode, paths[start : start + FILES_PER_BATCH])


def _map_pixels(folder: Path) -> RawImages:
    """Map a folder's pixels into memory, copied on write: a change of them stays in this process.

    Raises:
        OSError, ValueError, RuntimeError: a file is missing or damaged.
    """
    about = json.loads((folder / ABOUT_FILE).read_text())
    count, height, width, channels = about["shape"]
    file = folder / PIXELS_FILE
    size = count * height * width * channels
    if file.stat().st_size != size:
        raise ValueError(f"{file} is not of {size} bytes")
    pixels = torch.from_file(os.fspath(file), shared=False, size=size, dtype=torch.uint8)
    images = pixels.view(count, height, width, channels).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.load(folder / LABELS_FILE))
    return RawImages(images, labels, skipped=about["skipped"])
