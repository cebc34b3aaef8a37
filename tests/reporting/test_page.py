"""The values of the page."""

from lockstep.reporting import page
from lockstep.reporting.charts.confusion_chart import list_unexpected_labels


def test_mistakes_are_sorted_by_their_number() -> None:
    confusion = {"a": {"a": 5, "b": 1, "c": 3}, "b": {"b": 2, "c": 1}}
    assert page.list_mistakes(confusion) == [("a", "c", 3, 9), ("b", "c", 1, 3), ("a", "b", 1, 9)]
    assert list_unexpected_labels(confusion) == ["c"]
