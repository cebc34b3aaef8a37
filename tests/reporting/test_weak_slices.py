"""The slices of the report: their order, and the weakest of them."""

from lockstep.reporting import weak_slices
from tests.reporting.results import make_results


def test_a_slice_of_few_records_is_not_called_weak() -> None:
    parts = {"odd": {"records": 9, "accuracy": 0.0}, "even": {"records": 91, "accuracy": 0.99}}
    results = make_results((0.1, 0.9, 0.9), slices={"phrasing": parts})
    assert weak_slices.find_weakest_slice(weak_slices.list_slices(results)) is None


def test_slices_hold_a_part_of_a_suite_and_are_in_the_order_of_their_numbers() -> None:
    bands = {name: {"records": 50, "accuracy": 0.9} for name in ("1-16", "129-256", "17-128")}
    whole = {"a.csv": {"records": 100, "accuracy": 0.9}}
    results = make_results((0.1, 0.9, 0.9), slices={"length": bands, "source": whole})
    slices = [(row.name, row.value) for row in weak_slices.list_slices(results)]
    assert slices == [("length", "1-16"), ("length", "17-128"), ("length", "129-256")]


def test_few_shot_suites_have_no_slices_of_their_own() -> None:
    parts = {"en": {"records": 50, "accuracy": 0.5}, "zh": {"records": 50, "accuracy": 0.9}}
    results = make_results((0.1, 0.9, 0.9), slices={"language": parts})
    for variant in results.variants.values():
        variant["intent-4-shot"] = variant["intent"]
    assert {row.task for row in weak_slices.list_slices(results)} == {"intent", "intent-4-shot"}
    results.details["few_shot"]["intent-4-shot"] = {}
    assert {row.task for row in weak_slices.list_slices(results)} == {"intent"}


def test_a_slice_in_which_the_base_has_no_metric_is_still_shown() -> None:
    results = make_results((0.1, 0.9, 0.9))
    for variant, accuracy in (("base", None), ("merged", 0.5), ("quantized", 0.4)):
        part = {"records": 20} if accuracy is None else {"records": 20, "accuracy": accuracy}
        results.variants[variant]["intent"]["slices"] = {"language": {"en": part}}
    (row,) = weak_slices.list_slices(results)
    assert (row.values, row.merged) == ([None, 0.5, 0.4], 0.5)
    results.variants["merged"]["intent"]["slices"] = {"language": {"en": {"records": 20}}}
    assert weak_slices.list_slices(results) == []
