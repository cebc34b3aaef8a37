"""How a prompt's length is named."""

import pytest
from lockstep.predicting.questioning import band


@pytest.mark.parametrize(
    ("tokens", "name"),
    [(1, "1-16"), (16, "1-16"), (17, "17-64"), (64, "17-64"), (65, "65-256"), (257, "257-1024")],
)
def test_a_length_lies_between_powers_of_four(tokens: int, name: str):
    assert band(tokens) == name
