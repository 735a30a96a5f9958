"""What the tables claim, taken apart."""

import pytest

from convarium.catalogue.claims import Claim, parse_headline_claims, parse_network_claims


def test_a_headline_is_a_claim_for_each_source() -> None:
    first, second = parse_headline_claims("AlexNet 9x, no accuracy loss [A]; LeNet-300-100 12x, LeNet-5 12x [M]")
    assert first == Claim("AlexNet 9x, no accuracy loss", "A")
    assert second == Claim("LeNet-300-100 12x, LeNet-5 12x", "M")


def test_words_without_a_source_are_a_claim_too() -> None:
    assert parse_headline_claims("none as compression") == (Claim("none as compression", ""),)
    assert parse_headline_claims("") == ()


@pytest.mark.parametrize(
    ("size", "accuracy", "figures"),
    [
        ("60M", "IN top-5 83.6", [(60_000_000, "parameters", "equal"), (83.6, "% top-5 on ImageNet", "higher")]),
        ("0.06M", "MNIST 99.2", [(60_000, "parameters", "equal"), (99.2, "% on MNIST", "higher")]),
        ("9.2M (printed under Accuracy)", "", [(9_200_000, "parameters", "equal")]),
        ("", "", []),
    ],
)
def test_a_network_has_parameters_and_an_accuracy(
    size: str, accuracy: str, figures: list[tuple[float, str, str]]
) -> None:
    claims = parse_network_claims({"review_params": size, "review_acc": accuracy})
    assert [(claim.figure, claim.unit, claim.direction) for claim in claims] == figures
