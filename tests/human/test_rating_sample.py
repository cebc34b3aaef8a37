from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.human import rating_items, rating_sample
from lockstep.human.rating_items import Item
from tests.human.answers import answered, prediction, settings

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


def test_shares_are_those_of_the_us_house() -> None:
    assert sum(people for people, _ in STATES.values()) == 331_108_434
    seats = rating_sample.shares({(state,): people for state, (people, _) in STATES.items()}, 435)
    assert seats == {(state,): number for state, (_, number) in STATES.items()}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.data())
def test_shares_add_up_and_leave_no_stratum_out(sizes: list[int], data: st.DataObject) -> None:
    number = data.draw(st.integers(len(sizes), 130))
    strata = {(str(place),): size for place, size in enumerate(sizes)}
    found = rating_sample.shares(strata, number)
    assert sum(found.values()) == min(number, sum(sizes))
    assert all(1 <= found[key] <= size for key, size in strata.items())


def test_a_sample_has_the_shares_of_its_strata() -> None:
    """Eight English records and four Chinese ones: of six, four and two."""
    rows = answered()["base"]
    drawn = rating_sample.sample(rows, settings(records=6))
    language = {row.id: row.slices.get("language") for row in rows}
    assert Counter(language[id] for id in drawn) == {"en": 4, "zh": 2}
    more = rating_sample.sample(rows, settings(records=9))
    assert set(drawn) < set(more), "a larger sample keeps what was drawn"
    assert set(rating_sample.sample(rows, settings(records=6, seed=8))) != set(drawn)
    assert len(rating_sample.sample(rows, settings(records=100))) == 12
    assert set(rating_sample.sample([*reversed(rows)], settings(records=6))) == set(drawn)


def test_a_record_without_the_slice_is_a_stratum_of_its_own() -> None:
    rows = [prediction(1, "a"), prediction(2, "b"), prediction(3, "c", slices={})]
    assert set(rating_sample.sample(rows, settings(records=3))) == {"r1", "r2", "r3"}
    with pytest.raises(UserError, match="2 are too few for the 3 strata of reply"):
        rating_sample.sample(rows, settings(records=2))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"suites": ["dpo"]}, "human.suites: dpo is no suite; known: intent, reply"),
        ({"strata": ["tone"]}, "human.strata: tone is no slice of reply; known: language"),
        (
            {"records": 1},
            "human.records: 1 are too few for the 2 strata of reply; raise it or name fewer "
            "slices in human.strata",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as refusal:
        rating_sample.sample(answered()["base"], settings(**changes))
    assert refusal.value.message == f"params.yaml: {line}"


def numbered(counts: list[int]) -> list[Item]:
    """So many answers to each record."""
    texts = {f"v{n}": [str(n)] for n in range(max(counts))}
    rows = {
        variant: [prediction(k, text) for k, count in enumerate(counts) if n < count]
        for n, (variant, [text]) in enumerate(texts.items())
    }
    return [*rating_items.collect(rows).values()]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=9), st.integers(0, 99))
def test_answers_to_one_record_stand_apart_wherever_they_can(counts: list[int], seed: int) -> None:
    shown = numbered(counts)
    ordered = rating_sample.order(shown, str(seed))
    assert sorted(item.code for item in ordered) == sorted(item.code for item in shown)
    if max(counts) <= (len(shown) + 1) // 2:
        assert all(one.record != other.record for one, other in pairwise(ordered))


def test_the_order_tells_no_variant() -> None:
    """Of 400 records the base comes first in about half: 5 standard deviations are 50."""
    texts = {"base": "old", "merged": "new"}
    rows = {name: [prediction(n, text) for n in range(400)] for name, text in texts.items()}
    ordered = rating_sample.order([*rating_items.collect(rows).values()], "7")
    first = {item.record: item.variants for item in reversed(ordered)}
    assert 150 < sum(variants == ("base",) for variants in first.values()) < 250
    assert 150 < sum(item.variants == ("base",) for item in ordered[:400]) < 250
    turned = [
        replace(item, variants=("?",)) for item in reversed(rating_items.collect(rows).values())
    ]
    assert [item.code for item in rating_sample.order(turned, "7")] == [
        item.code for item in ordered
    ]
