"""`ls` lists what is stored, by stage, name, figures, keys of the config, and age; and what failed."""

import json
from pathlib import Path

import pytest

from command_lines import Call, Pretend
from convarium.planning.plan import Plan
from convarium.store.store import Store

SWEEP = ("architecture=mlp", "dataset=digits", "compression=none,magnitude,[magnitude,kmeans]", "seed=0,1,2")


@pytest.fixture
def made(pretend: Pretend) -> Plan:
    return pretend(SWEEP)


def names(call: Call, *arguments: str) -> list[str]:
    code, out, error = call("ls", "--json", *arguments)
    assert (code, error) == (0, "")
    return [f"{row['stage']} {row['name']}" for row in json.loads(out)["results"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stage", "train"], ["train mlp-digits-s0", "train mlp-digits-s1", "train mlp-digits-s2"]),
        (["--where", "accuracy>=0.92", "--name", "digits-s"], ["measure mlp-digits-s2"]),
        (["--where", "accuracy>0.9", "--where", "seed<2", "--name", "mlp-digits-s?"], ["measure mlp-digits-s1"]),
        (["--stage", "train", "seed=1"], ["train mlp-digits-s1"]),
        (["--stage", "measure", "compression.magnitude.sparsity=0.9", "compression=[magnitude]", "seed=1"],
         ["measure mlp-digits-magnitude0.9-s1"]),
        (["--stage", "compress", "compression=magnitude,kmeans", "seed=0"],
         ["compress mlp-digits-magnitude0.9-kmeans5-s0"]),
        (["--stage", "measure", "compression=none", "seed=1"], ["measure mlp-digits-s1"]),
        (["--stage", "measure", "compression=[]", "seed=1"], ["measure mlp-digits-s1"]),
        (["--stage", "measure", "compression!=none", "compression!=magnitude", "seed=1"],
         ["measure mlp-digits-magnitude0.9-kmeans5-s1"]),
        (["--where", "dataset.name=mnist5k"], []),
        (["--where", "dataset!=digits"], []),
        (["architecture=basic/mlp", "--newest", "1"], ["measure mlp-digits-magnitude0.9-kmeans5-s2"]),
        (["--since", "2026-01-18"], ["measure mlp-digits-magnitude0.9-kmeans5-s2"]),
        (["--since", "1h"], []),
        (["--where", "recipe.early_stop=null", "--stage", "train", "--newest", "1"], ["train mlp-digits-s2"]),
    ],
)  # fmt: skip
def test_what_meets_all_conditions_is_listed(arguments: list[str], expected: list[str], made: Plan, call: Call) -> None:
    assert names(call, *arguments) == expected


def test_lines_for_people_have_the_main_figures(made: Plan, call: Call) -> None:
    lines = call("ls", "--stage", "measure", "--newest", "2")[1].splitlines()
    assert lines[0].split() == ["signature", "stage", "seconds", "name", "figures"]
    assert lines[2].endswith("accuracy 0.92, file bytes 9")
    assert len(lines) == 3


def test_failures_are_listed_with_their_line(made: Plan, call: Call) -> None:
    node = made.nodes[made.points[0].measure]
    folder = Store(Path("outputs/store")).folder_of(node)
    (folder / "done.json").unlink()
    record = {"signature": node.signature, "stage": "measure", "name": node.name, "ended": "2026-02-01T00:00:00"}
    (folder / "failed.json").write_text(json.dumps({**record, "error": "the loss is NaN", "attempts": 2}))
    (row,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    assert (row["signature"], row["error"], row["attempts"]) == (node.signature, "the loss is NaN", 2)
    assert "the loss is NaN" in call("ls", "--failed")[1]
    assert row["cause"] is None, "who wrote it knew of no causes yet"
    assert names(call, "--failed", "--stage", "train") == []


def test_a_failure_is_listed_with_its_cause_in_a_word(made: Plan, call: Call) -> None:
    node = made.nodes[made.points[0].measure]
    folder = Store(Path("outputs/store")).folder_of(node)
    (folder / "done.json").unlink()
    record = {"name": node.name, "error": "it is full", "cause": "out of memory", "host": "there"}
    (folder / "failed.json").write_text(json.dumps(record))
    (row,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    assert (row["cause"], row["host"]) == ("out of memory", "there")
    assert "failed (out of memory)" in call("ls", "--failed")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "acuracy>1"], "'acuracy>1': no result here has 'acuracy' (did you mean accuracy?)"),
        (["recipe.learning=1"], "'recipe.learning=1': no result here has 'recipe.learning'"),
        (["--where", "accuracy>many"], "'accuracy>many': 'many' is not a number"),
        (["--where", "accuracy>nan"], "'accuracy>nan': 'nan' is not a number"),
        (["--where", "accuracy=NaN"], "'accuracy=NaN': 'NaN' is not a number"),
        (["seed=0,1"], "'seed=0,1': a condition takes one value, such as seed=0"),
        (["dataset=digits,mnist5k"], "a condition takes one value, such as dataset=digits"),
        (["--where", "accuracy=0,91"], "a condition takes one value, such as accuracy=0"),
        (["--where", "accuracy"], "'accuracy': write a figure or key, one of"),
        (["--stage", "mesure"], "--stage mesure: no such stage (did you mean measure?)"),
        (["--newest", "0"], "--newest 0: expected int of at least 1"),
        (["--since", "soon"], "--since soon: expected a date such as"),
        (["--since", "99999999999d"], "--since 99999999999d: expected a date such as"),
        (["--since", "9999999w"], "--since 9999999w: expected a date such as"),
        (["--since", f"{'9' * 5000}d"], "expected a date such as"),
        (["--failed", "--where", "accuracy>1"], "--failed: what failed has no figures"),
    ],
)
def test_a_wrong_filter_is_one_line(arguments: list[str], said: str, made: Plan, call: Call) -> None:
    code, out, error = call("ls", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_gets_whole_names_and_figures(width, monkeypatch, capsys):
    from convarium.cli import ls

    row = {"signature": "0123456789ab", "stage": "measure", "seconds": 1.5, "name": "lenet5-mnist5k-random0.9-s1"}
    row["metrics"] = {"accuracy": 0.97123, "validation_accuracy": 0.951, "file_bytes": 1_724_376, "ratio": 1.0}
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    ls._print_rows([row])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    for part in ("0123456789ab", "measure", "1.5", row["name"], "0.971", "1,724,376"):
        assert part in text
