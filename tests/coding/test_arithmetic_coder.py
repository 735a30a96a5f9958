import time
from hashlib import sha256
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from convarium.coding import arithmetic_stream, range_coder
from convarium.coding import kernel_backend as machines
from convarium.coding.kernel_backend import NumbaBackend, PythonBackend
from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError


def like_pruned_weights(rows: int, columns: int, density: float, largest: int, seed: int = 0) -> np.ndarray:
    """Whole numbers in rows and columns of different density; what is next to one another has the same sign."""
    drawn = np.random.default_rng(seed)
    crowded = drawn.gamma(0.5, 2, (rows, 1)) * drawn.gamma(0.5, 2, columns)
    kept = drawn.random((rows, columns)) < density * crowded / crowded.mean()
    smooth = np.convolve(drawn.normal(size=rows * columns), np.ones(6), "same").reshape(rows, columns)
    sizes = np.minimum(drawn.geometric(0.4, (rows, columns)), largest)
    return np.where(smooth > 0, sizes, -sizes) * kept


def coded(values: np.ndarray, largest: int, coder: str = "arithmetic") -> dict[str, bytes]:
    """The tensor as positions and integers, as ids, and whole."""
    tensor = torch.from_numpy(values.astype(np.int64))
    kept = tensor.flatten().nonzero().flatten()
    found = {}
    for name in ("integers", "symbols"):
        writer = SiteWriter(coder)
        writer.write_positions("indices", kept, tensor.shape)
        numbers = tensor.flatten()[kept]
        if name == "integers":
            writer.write_integers("weights", numbers, largest, False)
        else:
            writer.write_symbols("weights", numbers + largest, 2 * largest + 1)
        found[name] = bytes(writer.data)
    whole = SiteWriter(coder)
    whole.write_integers("weights", tensor, largest, True)
    return found | {"whole": bytes(whole.data)}


def test_pruned_weights_take_fewer_bytes_than_by_any_other_coder() -> None:
    for density, largest in ((0.02, 3), (0.1, 3), (0.1, 15)):
        values = like_pruned_weights(200, 400, density, largest)
        own = coded(values, largest)
        for other in ("fixed", "huffman", "xz"):
            assert len(own["integers"]) < 0.85 * len(coded(values, largest, other)["integers"])
        assert abs(len(own["whole"]) - len(own["integers"])) < 20


def test_random_numbers_take_hardly_more_than_their_entropy() -> None:
    drawn = np.random.default_rng(0)
    for density in (0.02, 0.1, 0.5):
        kept = torch.from_numpy(np.flatnonzero(drawn.random(250 * 400) < density))
        share = len(kept) / (250 * 400)
        entropy = -250 * 400 * (share * np.log2(share) + (1 - share) * np.log2(1 - share)) / 8
        writer = SiteWriter("arithmetic")
        writer.write_positions("indices", kept, (250, 400))
        assert entropy < len(writer.data) < 1.015 * entropy + 20
    writer = SiteWriter("arithmetic")
    writer.write_symbols("weights", torch.from_numpy(drawn.integers(0, 64, 50_000)), 64)
    assert len(writer.data) < 1.01 * 50_000 * 6 / 8


def test_of_kept_float_values_sign_and_exponent_are_coded() -> None:
    values = torch.from_numpy(like_pruned_weights(60, 400, 0.1, 15)) * torch.rand(60, 400)
    kept = values.flatten().nonzero().flatten()
    sizes = {}
    for coder in ("fixed", "xz", "arithmetic"):
        writer = SiteWriter(coder)
        writer.write_positions("indices", kept, values.shape)
        before = len(writer.data)
        writer.write_values("weights", values.flatten()[kept].float())
        sizes[coder] = len(writer.data) - before
    assert sizes["arithmetic"] < min(0.85 * sizes["fixed"], sizes["xz"])


def test_what_repeats_at_a_distance_is_found() -> None:
    """As in a layer over flattened images: the pixel above is `width` columns before."""
    drawn = np.random.default_rng(0)
    image = np.repeat(drawn.integers(-1, 2, (40, 7, 28)), 4, axis=1)
    shuffled = image[:, drawn.permutation(28)].reshape(40, 784)
    image = image.reshape(40, 784)
    assert len(coded(image, 1)["whole"]) < 0.8 * len(coded(shuffled, 1)["whole"])


def test_the_format_stays_what_it_is() -> None:
    """Files of today must be read tomorrow."""
    numbers = [(place * place * 7919 + place * 104_729) % 1_000_003 for place in range(40 * 90)]
    made = b""
    for largest in (3, 15, 100):
        values = [number % (2 * largest + 1) - largest if number % 10 == 0 else 0 for number in numbers]
        made += b"".join(coded(np.array(values).reshape(40, 90), largest).values())
    assert sha256(made).hexdigest()[:16] == "44f03d5c95aa608f"
    small = SiteWriter("arithmetic")
    small.write_integers("weights", torch.tensor([[0, 1, -2, 0], [3, 0, 0, 0]]), 3, True)
    assert small.data.hex() == "03005f1e91"


@pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")
@pytest.mark.timeout(300)
def test_compiled_loops_make_and_read_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [(like_pruned_weights(60, 130, density, largest), largest) for density, largest in ((0.1, 3), (0.3, 40))]
    plain = [coded(*given) for given in tensors]
    used = []
    monkeypatch.setattr(arithmetic_stream, "select_backend", lambda size: used.append(size) or NumbaBackend())
    for (values, largest), expected in zip(tensors, plain, strict=True):
        assert coded(values, largest) == expected
        reader = SiteReader(memoryview(expected["whole"]), "arithmetic")
        assert np.array_equal(reader.read_integers("weights", values.shape, largest, True).numpy(), values)
        for key, read in (
            ("integers", lambda r, n, k: r.read_integers("w", (n,), k, False)),
            ("symbols", lambda r, n, k: r.read_symbols("w", n, 2 * k + 1)),
        ):
            kept = np.flatnonzero(values)
            reader = SiteReader(memoryview(expected[key]), "arithmetic")
            assert np.array_equal(reader.read_positions("indices", len(kept), values.shape).numpy(), kept)
            shift = largest if key == "symbols" else 0
            assert np.array_equal(read(reader, len(kept), largest).numpy() - shift, values.ravel()[kept])
            with pytest.raises(UserError):
                SiteReader(memoryview(expected[key][:20]), "arithmetic").read_positions(
                    "indices", len(kept), values.shape
                )
    assert used


def test_numba_is_for_large_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(machines.select_backend(machines.MIN_COMPILED_VALUES - 1)) is PythonBackend
    monkeypatch.setattr(machines, "find_spec", lambda name: None)
    assert type(machines.select_backend(1 << 30)) is PythonBackend
    monkeypatch.setattr(machines, "find_spec", lambda name: name)
    assert type(machines.select_backend(machines.MIN_COMPILED_VALUES)) is NumbaBackend


@pytest.mark.parametrize("end", range(5))
def test_a_stream_ends_in_the_fewest_bytes_whatever_follows(end: int) -> None:
    for low, high in (
        (0, range_coder.MAX_RANGE),
        (1, range_coder.MAX_RANGE),
        (0x00FFFFFF, 0x01000000),
        (0x12345678, 0x13000000),
    ):
        last = range_coder.compute_stream_tail(low, high)
        for following in (b"\0" * 4, b"\xff" * 4):
            assert low <= int.from_bytes((last + following)[:4], "big") <= high
    assert range_coder.compute_stream_tail(0, range_coder.MAX_RANGE) == b""
    assert range_coder.compute_stream_tail(1, range_coder.MAX_RANGE) == b"\x01"


def test_empty_rows_and_columns_cost_next_to_nothing() -> None:
    values = np.zeros((400, 600), dtype=np.int64)
    values[::40, ::50] = 1
    assert len(coded(values, 1)["whole"]) < 120


def test_a_large_tensor_is_refused_before_time_is_spent() -> None:
    with pytest.raises(UserError, match="at most 134217728 values"):
        SiteReader(memoryview(b"\0" * 100), "arithmetic").read_positions("indices", 5, (1 << 15, 1 << 14))


def test_noise_that_declares_a_large_tensor_is_refused_soon() -> None:
    begin = time.process_time()
    for head in (b"\0", b"\3"):
        with pytest.raises(UserError):
            SiteReader(memoryview(head + b"\x5a" * 40), "arithmetic").read_positions("indices", 300_000, (1500, 1000))
    with pytest.raises(UserError):
        SiteReader(memoryview(b"\0" + b"\x5a" * 40), "arithmetic").read_symbols("weights", 1_000_000, 64)
    assert time.process_time() - begin < 20  # numba may have to compile first


@pytest.mark.parametrize("head", [b"\xff\x01", b"\x80\x80\x01", b""])
def test_a_lag_longer_than_a_row_is_refused(head: bytes) -> None:
    with pytest.raises(UserError):
        SiteReader(memoryview(head + b"\0" * 30 if head else b""), "arithmetic").read_positions("indices", 5, (10, 10))


def test_flags_without_a_map_are_refused() -> None:
    writer = SiteWriter("arithmetic")
    writer.write_symbols("weights", torch.arange(9), 9)
    with pytest.raises(UserError, match="no map"):
        SiteReader(memoryview(b"\x01" + bytes(writer.data[1:])), "arithmetic").read_symbols("weights", 9, 9)
