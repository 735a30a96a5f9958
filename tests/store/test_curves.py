from pathlib import Path

from convarium.store import curves


def test_an_epoch_done_twice_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    report = curves.reporter(path)
    report(phase="train", epoch=1, loss=0.5)
    report(phase="train", epoch=2, loss=0.4)
    report(phase="prune", epoch=1, loss=0.3)
    report(phase="train", epoch=2, loss=0.45)
    assert curves.last(path) == {"phase": "train", "epoch": 2, "loss": 0.45}
    path.write_text(path.read_text() + '{"phase": "tra')
    assert [one["loss"] for one in curves.read(path)] == [0.5, 0.4, 0.3, 0.45]
    curves.tidy(path)
    assert path.read_text().splitlines() == [
        '{"phase": "train", "epoch": 1, "loss": 0.5}',
        '{"phase": "train", "epoch": 2, "loss": 0.45}',
        '{"phase": "prune", "epoch": 1, "loss": 0.3}',
    ]


def test_no_curves_are_no_trouble(tmp_path: Path) -> None:
    curves.tidy(tmp_path / "curves.jsonl")
    assert curves.last(tmp_path / "curves.jsonl") == {}
    assert curves.read(tmp_path / "curves.jsonl") == []
    assert not (tmp_path / "curves.jsonl").exists()
