import jinja2
import pytest
from lockstep.reporting.comparison import STEPS
from lockstep.reporting.stage_results import VARIANTS

from lockstep.reporting import page
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        page.render("page.html.j2", {})


def test_markdown_shows_text_as_it_is() -> None:
    assert page.markdown("a|b *c* [d](e)") == r"a\|b \*c\* \[d\](e)"
    assert "<" not in page.markdown("<img src=x>")


def test_long_texts_are_clipped_and_say_so() -> None:
    assert page.clip("short") == "short"
    assert page.clip("x" * 1240) == "x" * 600 + "… (1,240 characters)"


def proven(*steps: tuple[float, float]) -> page.Proven:
    """Of the accuracy of intent: the difference and p of each step."""
    found = {
        step: {
            "intent": {
                "accuracy": Difference(
                    records=400,
                    value=value,
                    interval=Interval(value - 0.02, value + 0.02),
                    p=p / 2,
                    adjusted=p,
                    detectable=0.03,
                )
            }
        }
        for step, (value, p) in zip(STEPS, steps, strict=True)
    }
    sure = {"intent": {"accuracy": Interval(0.913, 0.972)}}
    return page.Proven(intervals=dict.fromkeys(VARIANTS, sure), differences=found, gates=[])


def test_a_change_is_judged_by_its_direction_and_by_chance() -> None:
    found = page.cells("intent", "accuracy", [0.1, 0.95, 0.94], proven((0.85, 0.0), (-0.01, 0.4)))
    assert [(cell.text, cell.change, cell.judgement) for cell in found] == [
        ("10.0%", "", ""),
        ("95.0%", "+85.0", "better"),
        ("94.0%", "−1.0", "chance"),
    ]
    assert found[1].interval == "91.3% – 97.2%"
    assert found[2].told == (
        "95% interval of the change: −3.0 points to +1.0 points; p 0.4, corrected; "
        "alone, so many records show 3.0 points or more"
    )
    found = page.cells("slots", "perplexity", [9.0, 2.0, 2.5], proven((0, 1), (0, 1)))
    assert [cell.judgement for cell in found] == ["", "untested", "untested"]
    assert [(cell.bar, cell.interval) for cell in found] == [(None, "")] * 3
