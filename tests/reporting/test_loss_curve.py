"""The loss curve: ticks and points of the drawing."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.reporting.loss_curve import HEIGHT, WIDTH, choose_ticks, draw_curve


@given(st.floats(1e-6, 1e9))
def test_ticks_start_at_zero_and_cover_the_highest_value(highest: float) -> None:
    values = choose_ticks(highest)
    assert values[0] == 0
    assert values[-1] >= highest * (1 - 1e-6)
    assert 3 <= len(values) <= 7


def test_ticks_are_round_numbers() -> None:
    assert choose_ticks(1038) == [0, 500, 1000, 1500]
    assert choose_ticks(3.7) == [0, 1, 2, 3, 4]


STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "step": st.integers(0, 10**6).map(float),
            "loss": st.none() | st.floats(0, 100),
            "validation_loss": st.none() | st.floats(0, 100),
        }
    )
)


@given(STEPS)
def test_every_measured_point_is_inside_the_drawing(log: list[dict[str, float | None]]) -> None:
    curve = draw_curve(log)
    assert len(curve.loss) == sum(row["loss"] is not None for row in log)
    assert len(curve.validation) == sum(row["validation_loss"] is not None for row in log)
    for x, y in curve.loss + curve.validation:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_lower_loss_is_lower_on_the_page() -> None:
    log = [{"step": 1.0, "loss": 2.0, "validation_loss": None}]
    log += [{"step": 2.0, "loss": 1.0, "validation_loss": 1.5}]
    (x1, y1), (x2, y2) = draw_curve(log).loss
    assert x1 < x2
    assert y1 < y2
