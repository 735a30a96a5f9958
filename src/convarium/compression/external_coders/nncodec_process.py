"""A script for the ISO coder's own interpreter, which imports nothing of ours. Usage: nncodec_process.py FOLDER

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
    """Encode (where the request names arrays) and decode; return the decoded names and the processor seconds."""
    stream_path = folder / f"{index}.nnc"
    start_time = time.process_time()
    if request["names"] is not None:
        arrays = {}
        with np.load(folder / f"{index}.npz") as archive:
            for number, name in enumerate(request["names"]):
                arrays[name] = np.ascontiguousarray(archive[str(number)])
        start_time = time.process_time()  # reading the archive is not the coder's time
        stream_path.write_bytes(nnc.compress(arrays, **FIXED_SETTINGS, **request["settings"]))
    encoded_time = time.process_time()
    decoded_arrays = nnc.decompress(bytearray(stream_path.read_bytes()))  # nnc takes any other type for a path
    decoded_time = time.process_time()
    numbered_arrays = {str(number): array for number, array in enumerate(decoded_arrays.values())}
    np.savez(folder / f"decoded-{index}.npz", **numbered_arrays)
    return {
        "names": list(decoded_arrays),
        "encode_seconds": encoded_time - start_time,
        "decode_seconds": decoded_time - encoded_time,
    }


def main(folder: Path) -> None:
    """Answer all requests in `folder` and write results.json."""
    requests = json.loads((folder / "requests.json").read_text())
    results = [process_request(folder, index, request) for index, request in enumerate(requests)]
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException as error:  # the coder raises SystemExit on its callers' mistakes
        # On one line: the parent shows the last line.
        message = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(message[:200])
