from pathlib import Path

from convarium.store import curves


def test_an_epoch_done_twice_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    report = curves.build_reporter(path)
    report(phase="train", epoch=1, loss=0.5)
    report(phase="train", epoch=2, loss=0.4)
    report(phase="prune", epoch=1, loss=0.3)
    report(phase="train", epoch=2, loss=0.45)
    assert curves.read_last_report(path) == {"phase": "train", "epoch": 2, "loss": 0.45}
    path.write_text(path.read_text() + '12\n{"phase": "tra')
    assert [one["loss"] for one in curves.read_reports(path)] == [0.5, 0.4, 0.3, 0.45]
    curves.remove_repeated_reports(path)
    assert path.read_text().splitlines() == [
        '{"phase": "train", "epoch": 1, "loss": 0.5}',
        '{"phase": "train", "epoch": 2, "loss": 0.45}',
        '{"phase": "prune", "epoch": 1, "loss": 0.3}',
    ]


def test_no_curves_are_no_trouble(tmp_path: Path) -> None:
    curves.remove_repeated_reports(tmp_path / "curves.jsonl")
    assert curves.read_last_report(tmp_path / "curves.jsonl") == {}
    assert curves.read_reports(tmp_path / "curves.jsonl") == []
    assert not (tmp_path / "curves.jsonl").exists()
