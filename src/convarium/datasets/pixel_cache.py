"""Image files become pixels once: decoded in order into one file beside the store, which is mapped into memory."""

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

FILES_PER_BATCH = 256
CACHE_KEY_FIELDS = ("name", "fingerprint", "channels", "img_size", "on_error", "crop", "interpolation")
PIXELS_FILE, LABELS_FILE, ABOUT_FILE = "pixels", "labels.npy", "about.json"


def find_cached_pixels(dataset: Mapping[str, Any], part: str, cache: Path | None) -> RawImages | None:
    """Return the pixels of a part that were decoded before, None where there are none."""
    folder = _find_cache_folder(dataset, part, cache)
    if folder is None or not folder.is_dir():
        return None
    try:
        return _map_pixels(folder)
    except PermissionError:
        return None
    except (OSError, ValueError, RuntimeError):
        with suppress(OSError):
            for name in (ABOUT_FILE, LABELS_FILE, PIXELS_FILE):
                (folder / name).unlink(missing_ok=True)
        return None


def decode_files(files: ImagePaths, dataset: Mapping[str, Any], part: str, cache: Path | None) -> RawImages:
    """Decode a part's files to squares of `dataset.img_size`; without `cache` the pixels live as long as this process.

    Raises:
        UserError: a file is not an image and `dataset.on_error` is not "skip", or it leaves a class without images.
        OSError: no room for the pixels.
    """
    folder = _find_cache_folder(dataset, part, cache)
    if folder is not None:
        with (
            suppress(PermissionError, FileExistsError, NotADirectoryError),
            _lock_cache_folder(folder),
        ):  # a cache that is not ours
            found = find_cached_pixels(dataset, part, cache)
            if found is None:
                _decode_into_cache(folder, files, dataset, part)
                found = _map_pixels(folder)
            return found
    with TemporaryDirectory(prefix="convarium-pixels-") as temporary:
        _write_decoded(Path(temporary), files, dataset, part)
        return _map_pixels(Path(temporary))


def _find_cache_folder(dataset: Mapping[str, Any], part: str, cache: Path | None) -> Path | None:
    """Return where a part's pixels are kept; what has no fingerprint is not kept."""
    if cache is None or not dataset.get("fingerprint"):
        return None
    identity = [
        DECODER_VERSION,
        part,
        *(dataset.get(key) for key in CACHE_KEY_FIELDS),
        *(dataset.get("value_range") or ()),
    ]
    key = sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return cache / "pixels" / f"{dataset['name'].replace('/', '_')}-{part}-{key}"


@contextmanager
def _lock_cache_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time decode; where the disk knows no locks, several do the same work."""
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
        draft.mkdir()  # as the umask says: a folder of tempfile's would be its maker's alone
        _write_decoded(draft, files, dataset, part)
        with suppress(OSError):  # another process was first
            draft.rename(folder)
    finally:
        rmtree(draft, ignore_errors=True)


def _write_decoded(folder: Path, files: ImagePaths, dataset: Mapping[str, Any], part: str) -> None:
    size, channels, may_skip = dataset["img_size"], dataset["channels"], dataset.get("on_error") == "skip"
    labels = []
    with (folder / PIXELS_FILE).open("wb") as stream:
        crop, interpolation = dataset.get("crop", 1.0), dataset.get("interpolation", "bilinear")
        images = _decode_in_order(files.paths, (size, channels, crop, interpolation, dataset.get("value_range")))
        for path, label, found in zip(files.paths, files.labels.tolist(), images, strict=True):
            if not isinstance(found, UnreadableImage):
                stream.write(found.tobytes())
                labels.append(label)
            elif not may_skip:
                raise UserError(f"{path} {found}; remove it, or set dataset.on_error=skip")
    if bare := sorted(set(files.labels.tolist()) - set(labels)):
        names = dataset.get("class_names") or {}
        raise UserError(f"no file of the class {names[bare[0]] if names else bare[0]!r} for {part} is an image")
    np.save(folder / LABELS_FILE, np.array(labels, dtype=np.int64))
    about = {"shape": [len(labels), size, size, channels], "skipped": files.skipped + len(files.paths) - len(labels)}
    (folder / ABOUT_FILE).write_text(json.dumps(about))


def _decode_in_order(paths: Sequence[Path], how: tuple[Any, ...]) -> Iterator[NDArray[np.uint8] | UnreadableImage]:
    """Decode in order, with as many threads as torch may use; `how` is what `decode` takes beside the path."""

    def one(path: Path) -> NDArray[np.uint8] | UnreadableImage:
        try:
            return decode_image(path, *how)
        except UnreadableImage as error:
            return error

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(paths), FILES_PER_BATCH):
            yield from pool.map(one, paths[start : start + FILES_PER_BATCH])


def _map_pixels(folder: Path) -> RawImages:
    """Map a folder's pixels into memory; a change of them would stay in this process."""
    about = json.loads((folder / ABOUT_FILE).read_text())
    count, height, width, channels = about["shape"]
    file, total = folder / PIXELS_FILE, count * height * width * channels
    if file.stat().st_size != total:
        raise ValueError(f"{file} is not of {total} bytes")
    flat = torch.from_file(os.fspath(file), shared=False, size=total, dtype=torch.uint8)
    labels = torch.from_numpy(np.load(folder / LABELS_FILE))
    images = flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    return RawImages(images, labels, skipped=about["skipped"])
