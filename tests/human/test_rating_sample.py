"""Samples are stratified, and the order of the answers reveals no variant."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.human.rating_items import Item, collect_items
from lockstep.human.rating_sample import apportion_records, order_items, sample_records
from tests.human.answers import make_params, make_prediction, make_predictions

# The apportionment of 2020: population and seats of each state
# (U.S. Census Bureau, 2020 Census Apportionment Results, table 1).
STATES = {
    "AL": (5030053, 7), "AK": (736081, 1), "AZ": (7158923, 9), "AR": (3013756, 4),
    "CA": (39576757, 52), "CO": (5782171, 8), "CT": (3608298, 5), "DE": (990837, 1),
    "FL": (21570527, 28), "GA": (10725274, 14), "HI": (1460137, 2), "ID": (1841377, 2),
    "IL": (12822739, 17), "IN": (6790280, 9), "IA": (3192406, 4), "KS": (2940865, 4),
    "KY": (4509342, 6), "LA": (4661468, 6), "ME": (1363582, 2), "MD": (6185278, 8),
    "MA": (7033469, 9), "MI": (10084442, 13), "MN": (5709752, 8), "MS": (2963914, 4),
    "MO": (6160281, 8), "MT": (1085407, 2), "NE": (1963333, 3), "NV": (3108462, 4),
    "NH": (1379089, 2), "NJ": (9294493, 12), "NM": (2120220, 3), "NY": (20215751, 26),
    "NC": (10453948, 14), "ND": (779702, 1), "OH": (11808848, 15), "OK": (3963516, 5),
    "OR": (4241500, 6), "PA": (13011844, 17), "RI": (1098163, 2), "SC": (5124712, 7),
    "SD": (887770, 1), "TN": (6916897, 9), "TX": (29183290, 38), "UT": (3275252, 4),
    "VT": (643503, 1), "VA": (8654542, 11), "WA": (7715946, 10), "WV": (1795045, 2),
    "WI": (5897473, 8), "WY": (577719, 1),
}  # fmt: skip


def test_shares_equal_the_apportionment_of_the_us_house() -> None:
    assert sum(people for people, _ in STATES.values()) == 331_108_434
    seats = apportion_records({(state,): people for state, (people, _) in STATES.items()}, 435)
    assert seats == {(state,): number for state, (_, number) in STATES.items()}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.data())
def test_shares_add_up_and_each_stratum_has_one(sizes: list[int], data: st.DataObject) -> None:
    number = data.draw(st.integers(len(sizes), 130))
    strata = {(str(place),): size for place, size in enumerate(sizes)}
    shares = apportion_records(strata, number)
    assert sum(shares.values()) == min(number, sum(sizes))
    assert all(1 <= shares[key] <= size for key, size in strata.items())


def test_a_sample_has_the_shares_of_its_strata() -> None:
    """A sample of 6 out of 8 English and 4 Chinese records has 4 English and 2 Chinese ones."""
    rows = make_predictions()["base"]
    sampled = sample_records(rows, make_params(records=6))
    language = {row.id: row.slices.get("language") for row in rows}
    assert Counter(language[id] for id in sampled) == {"en": 4, "zh": 2}
    larger = sample_records(rows, make_params(records=9))
    assert set(sampled) < set(larger), "a larger sample keeps the smaller one"
    assert set(sample_records(rows, make_params(records=6, seed=8))) != set(sampled)
    assert len(sample_records(rows, make_params(records=100))) == 12
    assert set(sample_records([*reversed(rows)], make_params(records=6))) == set(sampled)


def test_a_record_without_the_slice_is_a_stratum_of_its_own() -> None:
    rows = [make_prediction(1, "a"), make_prediction(2, "b"), make_prediction(3, "c", slices={})]
    assert set(sample_records(rows, make_params(records=3))) == {"r1", "r2", "r3"}
    with pytest.raises(UserError, match="2 records are too few for the 3 strata of reply"):
        sample_records(rows, make_params(records=2))


def test_by_default_the_suites_with_free_text_answers_are_sampled() -> None:
    rows = make_predictions()["base"]
    sampled = sample_records(rows, make_params(suites=[]))
    assert set(sampled) == {f"r{n}" for n in range(12)}
    labels = [row for row in rows if row.answer_form != "text"]
    with pytest.raises(UserError, match=r"human\.suites: no suite has free-text answers; name"):
        sample_records(labels, make_params(suites=[]))


def test_by_default_the_strata_are_the_slices_that_leave_two_records_per_stratum() -> None:
    """In proportion, 11 of 40 English and 4 Chinese records are 10 English and 1 Chinese.

    One tone is as rare as Chinese. Customer, source and length differ in every record.
    """
    rows = [
        make_prediction(
            n,
            "a",
            slices={
                "customer": str(n),
                "language": "zh" if n < 4 else "en",
                "length": f"1-{n}",
                "source": f"{n}.csv",
                "tone": "rude" if n >= 40 else "kind",
            },
        )
        for n in range(44)
    ]
    strata = {row.id: (row.slices["language"], row.slices["tone"]) for row in rows}
    sampled = sample_records(rows, make_params(strata=[], records=11))
    assert Counter(strata[id] for id in sampled) == {
        ("en", "kind"): 9,
        ("en", "rude"): 1,
        ("zh", "kind"): 1,
    }
    named = sample_records(rows, make_params(strata=["language", "tone"], records=11))
    assert set(sampled) == set(named)
    assert len(sample_records(rows, make_params(strata=[], records=1))) == 1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"suites": ["dpo"]}, "human.suites: no suite dpo; known: intent, reply"),
        ({"strata": ["tone"]}, "human.strata: tone is no slice of reply; known: language"),
        (
            {"records": 1},
            "human.records: 1 records are too few for the 2 strata of reply; raise it or name "
            "fewer slices in human.strata",
        ),
    ],
)
def test_an_impossible_sample_is_refused(changes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        sample_records(make_predictions()["base"], make_params(**changes))
    assert error.value.message == f"params.yaml: {line}"


def make_items(counts: list[int]) -> list[Item]:
    """Return this number of different answers to each record."""
    texts = {f"v{n}": [str(n)] for n in range(max(counts))}
    rows = {
        variant: [make_prediction(k, text) for k, count in enumerate(counts) if n < count]
        for n, (variant, [text]) in enumerate(texts.items())
    }
    return [*collect_items(rows).values()]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=9), st.integers(0, 99))
def test_answers_to_one_record_are_apart_where_possible(counts: list[int], seed: int) -> None:
    items = make_items(counts)
    ordered = order_items(items, str(seed))
    assert sorted(item.code for item in ordered) == sorted(item.code for item in items)
    if max(counts) <= (len(items) + 1) // 2:
        assert all(one.record != other.record for one, other in pairwise(ordered))


def test_the_order_reveals_no_variant() -> None:
    """The base comes first in about half of 400 records; 5 standard deviations are 50 records."""
    texts = {"base": "old", "merged": "new"}
    rows = {name: [make_prediction(n, text) for n in range(400)] for name, text in texts.items()}
    ordered = order_items([*collect_items(rows).values()], "7")
    first = {item.record: item.variants for item in reversed(ordered)}
    assert 150 < sum(variants == ("base",) for variants in first.values()) < 250
    assert 150 < sum(item.variants == ("base",) for item in ordered[:400]) < 250
    reversed_items = [
        replace(item, variants=("?",)) for item in reversed(collect_items(rows).values())
    ]
    assert [item.code for item in order_items(reversed_items, "7")] == [
        item.code for item in ordered
    ]


def test_few_shot_suites_are_not_rated_unless_they_are_named() -> None:
    rows = make_predictions()["base"]
    few_shot = [
        replace(row, id=f"few{row.id}", task="few", slices={**row.slices, "zero_shot": row.id})
        for row in rows
    ]
    expected = sample_records(rows, make_params(records=6, suites=[]))
    assert sample_records([*rows, *few_shot], make_params(records=6, suites=[])) == expected
    named = sample_records([*rows, *few_shot], make_params(records=6, suites=["few"]))
    assert all(record_id.startswith("few") for record_id in named)
