"""`diff` names the keys that make a result another one, also where they are those of what it was made from."""

import json

from command_lines import Call, Pretend

SWEEP = ("architecture=mlp", "dataset=digits", "compression=[magnitude,kmeans]",
         "compression.magnitude.sparsity=0.5,0.8", "recipe.lr=0.1,0.2")  # fmt: skip


def test_a_key_of_a_parent_is_followed_to_where_it_was_set(pretend: Pretend, call: Call) -> None:
    made = pretend(SWEEP[:-1])
    half, most = (point.measure for point in made.points)
    found = json.loads(call("diff", half, "--json")[1])
    assert found["nearest"]["signature"] == most
    assert found["differs"] == {"compression.magnitude.sparsity": [0.5, 0.8]}
    assert "  compression.magnitude.sparsity: 0.5 here, 0.8 there\n" in call("diff", half)[1]


def test_two_given_results_are_compared(pretend: Pretend, call: Call) -> None:
    made = pretend(SWEEP)
    networks = {tuple(point.overrides): point.network for point in made.points}
    one, *_, other = networks.values()
    found = json.loads(call("diff", one, other, "--json")[1])
    assert found["differs"] == {"compression.magnitude.sparsity": [0.5, 0.8], "recipe.lr": [0.1, 0.2]}


def test_a_key_at_its_default_has_that_value_though_it_is_not_hashed(pretend: Pretend, call: Call) -> None:
    made = pretend(("architecture=mlp", "dataset=digits", "recipe.mixup=0,0.3", "compression=kmeans"))
    plain, mixed = (point.network for point in made.points)
    assert json.loads(call("diff", plain, mixed, "--json")[1])["differs"] == {"recipe.mixup": [0.0, 0.3]}
    assert "  recipe.mixup: 0.0 here, 0.3 there\n" in call("diff", plain, mixed)[1]
    for condition, signature in (("recipe.mixup=0", plain), ("recipe.mixup>0", mixed)):
        rows = json.loads(call("ls", "--stage", "compress", "--where", condition, "--json")[1])["results"]
        assert [row["signature"] for row in rows] == [signature]


def test_of_another_chain_the_list_of_methods_is_told(pretend: Pretend, call: Call) -> None:
    made = pretend(("architecture=mlp", "dataset=digits", "compression=kmeans,[magnitude,kmeans]"))
    short, long = (point.network for point in made.points)
    differs = json.loads(call("diff", short, long, "--json")[1])["differs"]
    assert differs == {"compression": [["kmeans"], ["magnitude", "kmeans"]]}


def test_the_same_chain_is_nearer_than_another_and_seeds_of_steps_follow_from_the_first(
    pretend: Pretend, call: Call
) -> None:
    made = pretend(("architecture=mlp", "dataset=digits", "compression=kmeans,filter_l1", "seed=0,1"))
    found = json.loads(call("diff", made.points[0].network, "--json")[1])
    assert found["differs"] == {"seed": [0, 1]}


def test_what_a_teacher_was_made_from_is_told_by_the_knob_that_names_it(pretend: Pretend, call: Call) -> None:
    made = pretend(("architecture=mlp", "dataset=digits", "compression=kd",
                    "compression.kd.teacher.seed=3,4"))  # fmt: skip
    one, other = (point.network for point in made.points)
    differs = json.loads(call("diff", one, other, "--json")[1])["differs"]
    assert differs.pop("compression.kd.teacher.signature") is not None
    assert differs == {"compression.kd.teacher.seed": [3, 4]}


def test_an_only_result_says_so_and_an_unknown_other_is_one_line(pretend: Pretend, call: Call) -> None:
    signature = pretend(("architecture=mlp", "dataset=digits")).points[0].measure
    assert "the only result of stage measure" in call("diff", signature)[1]
    same = f"convarium: {signature[:8]} is the same result; name another one\n"
    assert call("diff", signature, signature[:8]) == (2, "", same)
    assert call("diff", signature, "") == (2, "", "convarium: a signature is expected, not an empty text\n")
    code, _, error = call("diff", signature, "zz")
    assert (code, error) == (2, "convarium: nothing in the store outputs/store has a signature that starts with 'zz'\n")
