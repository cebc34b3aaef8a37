"""Rows are batched by length and padded."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.inference.batching import batch_by_length, pad_rows


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(1, 7))
def test_every_index_is_in_one_batch_and_the_longest_rows_come_first(
    lengths: list[int], batch_size: int
):
    batches = list(batch_by_length(lengths, batch_size))
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(len(batch) <= batch_size for batch in batches)


def test_rows_are_padded_on_either_side():
    ids, mask = pad_rows([[1, 2, 3], [4]], fill=9)
    assert (ids.tolist(), mask.tolist()) == ([[1, 2, 3], [4, 9, 9]], [[1, 1, 1], [1, 0, 0]])
    ids, mask = pad_rows([[1, 2, 3], [4]], fill=9, left=True)
    assert (ids.tolist(), mask.tolist()) == ([[1, 2, 3], [9, 9, 4]], [[1, 1, 1], [0, 0, 1]])
