"""ls, show, diff and export say and give what is stored."""

import json
from pathlib import Path

import pytest

from command_lines import Call
from convarium.compose.points import compose_points
from convarium.cvm.header import pack_file
from convarium.host.provenance import hash_source
from convarium.planning.plan import Node
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store

SWEEP = ["compression=none,magnitude", "compression.magnitude.sparsity=0.5,0.8", "seed=0,1"]
ARCHITECTURE = {"num_classes": 1, "in_chans": 1, "img_size": 1}
INPUT = {"shape": [1, 1, 1], "mean": [0.0], "std": [1.0]}
METRICS = {"accuracy": 0.5, "validation_accuracy": 0.5, "file_bytes": 9}


def network(signature: str) -> bytes:
    """A file with a sound envelope and nothing in it but a signature."""
    given = {"architecture": ARCHITECTURE, "task": "none", "classes": 1, "input": INPUT, "surgery": []}
    return pack_file(given, [], signature.encode())


@pytest.fixture
def nodes(here: Path) -> list[Node]:
    """Every stage of a small sweep, stored as if it had run."""
    store, found = Store(here / "outputs/store"), list(build_plan(compose_points(SWEEP).points).nodes.values())
    for index, node in enumerate(found):
        folder = store.folder_of(node)
        folder.mkdir(parents=True)
        (folder / "network.cvm").write_bytes(network(node.signature))
        done = {
            "format": 2,
            "signature": node.signature,
            "stage": node.stage,
            "version": node.version,
            "stage_config": node.stage_config,
        }
        rest = {"parents": list(node.parents), "fingerprint": node.fingerprint, "name": node.name, "seconds": 1.5}
        result = {
            "started": f"{index:04}",
            "source": hash_source(),
            "work": 1.0,
            "result": {"metrics": METRICS, "correct": "ff", "images": 8},
        }
        (folder / "done.json").write_text(json.dumps({**done, **rest, **result}))
    return found


def test_run_answers_from_the_store_without_torch(
    nodes: list[Node], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    code, out, _ = call("run", "--json", *SWEEP)
    runs = json.loads(out)["runs"]
    assert (code, len(runs)) == (0, 6)
    assert {one["status"] for one in runs} == {"done"}
    assert runs[0]["metrics"]["accuracy"] == 0.5
    assert runs[0]["metrics"]["latency_ms"] is None
    assert runs[2]["path"].startswith("outputs/store/compress/")
    keys = {"signature", "path", "overrides", "seed", "status", "error", "cause", "metrics", "timings"}
    assert set(runs[0]) == keys


def test_run_without_json_is_a_plain_table(nodes: list[Node], call: Call) -> None:
    code, out, error = call("run", *SWEEP)
    assert (code, error) == (0, "")
    assert "magnitude magnitude.sparsity=0.5 seed=0" in out
    assert out.splitlines()[-1].startswith("to compare them: convarium compare compression=none,magnitude")
    assert "\x1b" not in out


def test_plan_sees_what_is_stored(nodes: list[Node], call: Call) -> None:
    _, out, _ = call("plan", "--fast", "--json", "compression=none,magnitude", "seed=0,1,2")
    found = json.loads(out)
    assert (found["points"], found["stored"], found["to_run"]) == (6, 2, 4)
    assert found["stages"]["train"] == {"stored": 2, "to_run": 1}


def test_compare_shows_what_there_is_and_says_how_much_is_missing(nodes: list[Node], call: Call) -> None:
    code, out, _ = call("compare", "--json", "compression=none,magnitude", "seed=0,1,2")
    found = json.loads(out)
    assert (code, found["missing"], len(found["rows"])) == (0, 4, 1)
    assert found["rows"][0]["seeds"] == [0, 1]


def test_compare_without_overrides_is_about_all_that_is_stored(nodes: list[Node], call: Call) -> None:
    found = json.loads(call("compare", "--json", "--where", "accuracy>0.4")[1])
    assert (found["missing"], len(found["rows"])) == (0, 3)
    assert len(json.loads(call("compare", "--json", "--best", "accuracy")[1])["rows"]) == 1
    assert "magnitude" in call("compare", "runtime.store=outputs/store")[1]


def test_compare_finds_the_dense_network_that_it_was_not_asked_for(nodes: list[Node], call: Call) -> None:
    _, out, _ = call("compare", "--json", "--margin", "1.5", *SWEEP[1:], "compression=magnitude")
    found = json.loads(out)
    assert (found["margin"], len(found["rows"])) == (0.015, 2)
    for row in found["rows"]:
        assert (row["versus_dense"]["accuracy"]["seeds"], row["versus_dense"]["accuracy"]["margin"]) == (2, 0.015)
        assert "no_dense" not in row["audit"]


def test_ls_lists_results_oldest_first(nodes: list[Node], call: Call) -> None:
    code, out, _ = call("ls", "--json")
    assert code == 0
    assert [row["signature"] for row in json.loads(out)["results"]] == [node.signature for node in nodes]
    assert nodes[0].signature in call("ls")[1]


def test_show_takes_a_unique_prefix(nodes: list[Node], call: Call) -> None:
    code, out, _ = call("show", nodes[0].signature[:8], "--json")
    assert (code, json.loads(out)["stage_config"]) == (0, nodes[0].stage_config)
    assert "correct" not in call("show", nodes[1].signature)[1]


def test_why_names_the_keys_that_differ_from_the_nearest(nodes: list[Node], call: Call) -> None:
    one, *_ = (node for node in nodes if node.stage == "compress" and node.stage_config["step"]["sparsity"] == 0.5)
    code, out, _ = call("diff", one.signature, "--json")
    found = json.loads(out)
    assert (code, found["differs"]) == (0, {"compression.magnitude.sparsity": [0.5, 0.8]})
    assert "  compression.magnitude.sparsity: 0.5 here, 0.8 there" in call("diff", one.signature)[1]


def test_export_copies_the_file_that_was_measured(nodes: list[Node], call: Call, here: Path) -> None:
    measured = next(node for node in nodes if node.stage == "measure")
    code, _, _ = call("export", measured.signature, "--format", "cvm", "-o", "net.cvm")
    assert code == 0
    assert (here / "net.cvm").read_bytes() == network(measured.parents[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "ffffffffffff"], "ffffffffffff"),
        (["diff", "zz"], "zz"),
        (["show"], "which signature? usage: convarium show SIGNATURE"),
        (["export", "ffffffffffff", "-o", "x.cvm"], "ffffffffffff"),
        (["measure", "seed=0"], "which file?"),
        (["measure", "nothing.cvm"], "nothing.cvm"),
        (["show", "ffffffffffff", "seed=7"], "seed=7: this command takes runtime.… only, such as runtime.store=FOLDER"),
        (["diff", "ffffffffffff", "architecture=mlp"], "architecture=mlp: this command takes runtime.… only"),
        (["gc", "seed=0"], "seed=0: this command takes runtime.… only"),
        (["gc", "--unreferenced", "--keep=seed=0", "seed=1"], "seed=1: this command takes runtime.… only"),
        (["store", "merge", "other", "sweep=demo"], "sweep=demo: this command takes runtime.… only"),
        (["show", ""], "which signature? usage: convarium show SIGNATURE"),
        (["diff", ""], "which signature? usage: convarium diff SIGNATURE"),
        (["ls", "runtime.store=[1,2]"], "runtime.store="),
        (["compare", "--where", "acuracy>1"], "acuracy"),
        (["compare", "--best", "latency_ms"], "latency_ms"),
        (
            ["compare", "--margin", "0"],
            "--margin 0: expected percentage points of accuracy, more than 0 and less than 100",
        ),
        (["compare", "--margin", "nan"], "--margin nan: expected percentage points of accuracy"),
        (["compare", "--margin", "little"], "argument --margin: invalid float value: 'little'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(arguments: list[str], said: str, nodes: list[Node], call: Call) -> None:
    code, out, error = call(*arguments)
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


def test_an_export_that_can_t_be_written_is_one_line(nodes: list[Node], call: Call) -> None:
    code, _, error = call("export", nodes[0].signature, "-o", "no/such/folder.cvm")
    assert (code, error) == (2, "convarium: no/such/folder.cvm: No such file or directory\n")
    assert call("show", nodes[0].signature)[0] == 0
