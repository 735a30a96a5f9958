"""Runs in the ISO coder's own interpreter, by its path; imports nothing of ours. Usage: nncodec_process.py FOLDER

FOLDER/requests.json is a list of {"names": […], "settings": {…}} with the arrays in <index>.npz as "0", "1", …, or of
{"names": null} with a stream in <index>.nnc. Each gives <index>.nnc, decoded-<index>.npz and an entry of results.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from nncodec import nnc  # type: ignore[import-not-found]

FIXED_SETTINGS = {"bitstream_path": None, "return_bitstream": True, "row_skipping": True}


def process_request(folder: Path, index: int, request: dict[str, Any]) -> dict[str, Any]:
    """Encode (where arrays are given) and decode; return names and seconds."""
    stream = folder / f"{index}.nnc"
    began = time.process_time()
    if request["names"] is not None:
        with np.load(folder / f"{index}.npz") as held:
            arrays = {name: np.ascontiguousarray(held[str(place)]) for place, name in enumerate(request["names"])}
        began = time.process_time()
        stream.write_bytes(nnc.compress(arrays, **FIXED_SETTINGS, **request["settings"]))
    encoded = time.process_time()
    decoded = nnc.decompress(bytearray(stream.read_bytes()))  # what is not a bytearray is taken for a path
    done = time.process_time()
    np.savez(folder / f"decoded-{index}.npz", **{str(place): value for place, value in enumerate(decoded.values())})
    return {"names": list(decoded), "encode_seconds": encoded - began, "decode_seconds": done - encoded}


def main(folder: Path) -> None:
    """Answer all requests."""
    requests = json.loads((folder / "requests.json").read_text())
    results = [process_request(folder, index, request) for index, request in enumerate(requests)]
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException as error:  # the coder raises SystemExit on its callers' mistakes
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split())[:200])
