"""Domains: what they hold, what a share of them is, and what Optuna is asked for."""

import pytest

from convarium.errors import UserError
from convarium.search.space import Domain, Options, RealRange, WholeRange

DOMAINS = {
    "options": Options(("none", "pruning/magnitude")),
    "whole": WholeRange(2, 6),
    "whole_steps": WholeRange(2, 9, step=3),
    "whole_log": WholeRange(1, 64, log=True),
    "real": RealRange(-1.0, 0.5),
    "real_log": RealRange(0.001, 0.3, log=True),
    "real_steps": RealRange(0.0, 1.0, step=0.1),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_each_share_of_a_domain_is_one_of_its_values(domain: Domain) -> None:
    values = [domain.get_value_at(index / 997) for index in range(997)]
    assert all(map(domain.contains, values))
    if domain.count is not None:
        assert set(values) == set(domain.list_values())
        assert len(set(values)) == domain.count


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_optuna_is_asked_for_the_same_values(domain: Domain) -> None:
    distribution = domain.to_distribution()
    for value in [domain.get_value_at(index / 97) for index in range(97)]:
        assert distribution._contains(distribution.to_internal_repr(value))


def test_logarithms_give_each_decade_as_many_values() -> None:
    domain = RealRange(0.001, 1.0, log=True)
    values = [domain.get_value_at(index / 300) for index in range(300)]
    assert [sum(low <= value < 10 * low for value in values) for low in (0.001, 0.01, 0.1)] == pytest.approx(
        [100, 100, 100], abs=1
    )


def test_a_range_ends_at_its_last_step() -> None:
    assert WholeRange(2, 9, step=3).high == 8
    assert RealRange(0.0, 1.0, step=0.3).list_values() == [0.0, 0.3, 0.6, 0.9]


def test_steps_of_a_tenth_are_written_as_tenths() -> None:
    assert [str(value) for value in RealRange(0.0, 0.9, step=0.1).list_values()] == [
        f"0.{digit}" for digit in range(10)
    ]


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        ("options", "kmeans"),
        ("options", 2),
        ("whole", 3.7),
        ("whole", 3.0),
        ("whole", 7),
        ("whole_steps", 3),
        ("real", 0.6),
        ("real", "0.1"),
        ("real_steps", 0.15),
    ],
)
def test_what_lies_beside_a_domain_is_not_in_it(domain: str, value: object) -> None:
    assert not DOMAINS[domain].contains(value)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Options(()), "nothing to choose from"),
        (lambda: Options(("a", "b", "a")), "a is there twice"),
        (lambda: WholeRange(6, 2), "upside down: 6 is above 2"),
        (lambda: RealRange(0.0, float("inf")), "not a finite number"),
        (lambda: RealRange(0.0, 1.0, log=True), "only numbers above 0 have a logarithm"),
        (lambda: WholeRange(1, 9, step=2, log=True), "a logarithm has no steps"),
        (lambda: RealRange(0.1, 0.9, log=True, step=0.1), "a logarithm has no steps"),
        (lambda: WholeRange(1, 9, step=0), "a step of 0"),
        (lambda: RealRange(0.0, 1.0, step=1e-9), "more than 100,000 values"),
    ],
)
def test_what_is_no_domain_is_refused(build: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build()  # type: ignore[operator]
