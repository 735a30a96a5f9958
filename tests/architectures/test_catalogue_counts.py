"""Every network of the catalogue that a command builds is the paper's: parameters and MACs, counted without memory."""

import pytest

from architectures.descriptions import count_row, uses_counts_of_rows
from convarium.catalogue.rows import CatalogueRow, read_catalogue_rows

NETWORKS = [row for row in read_catalogue_rows() if row.network and row.config]


@uses_counts_of_rows
@pytest.mark.parametrize("row", NETWORKS, ids=lambda row: str(row.id))
def test_a_network_is_the_paper_s(row: CatalogueRow) -> None:
    """A row whose figures are missing fails too: `benchmarks/architectures.py` fills them in."""
    found = count_row(row.id)
    assert (found.parameters, found.macs, found.input_size) == (row.parameters, row.macs, str(row.input))


def test_most_of_the_review_s_classifiers_are_there() -> None:
    assert len(NETWORKS) > 105
