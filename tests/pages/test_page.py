import jinja2
import pytest

from stages.pages import page
from stages.pages.comparison import Change
from stages.pages.results import VARIANTS, Prediction


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        page.render("page.html.j2", {})


def test_markdown_shows_text_as_it_is() -> None:
    assert page.markdown("a|b *c* [d](e)") == r"a\|b \*c\* \[d\](e)"
    assert "<" not in page.markdown("<img src=x>")


def test_long_texts_are_clipped_and_say_so() -> None:
    assert page.clip("short") == "short"
    assert page.clip("x" * 1240) == "x" * 600 + "… (1,240 characters)"


def test_a_change_is_judged_by_its_direction_and_by_chance() -> None:
    sure, unsure = Change(better=90, worse=5), Change(better=4, worse=5)
    found = page.cells("accuracy", [0.1, 0.95, 0.94], (sure, unsure))
    assert [(cell.text, cell.change, cell.judgement) for cell in found] == [
        ("10.0%", "", ""),
        ("95.0%", "+85.0", "better"),
        ("94.0%", "−1.0", "chance"),
    ]
    found = page.cells("perplexity", [9.0, 2.0, 2.5], None)
    assert [cell.judgement for cell in found] == ["", "better", "worse"]
    assert [cell.bar for cell in found] == [None, None, None]


def test_the_test_of_single_answers_judges_the_main_measure_alone() -> None:
    rows = [
        Prediction(
            id="0",
            task="intent",
            slices={},
            question="?",
            expected="a",
            got=dict.fromkeys(VARIANTS, "a"),
            scores={"base": 0, "merged": 1, "quantized": 1},
        )
    ]
    variants = {
        name: {
            "intent": {
                "records": 1,
                "overall": {"accuracy": value, "macro_f1": value},
                "slices": {},
            }
        }
        for name, value in zip(VARIANTS, (0.0, 1.0, 1.0), strict=True)
    }
    suite = page.suite("intent", variants, rows, 1)
    assert [cells[1].judgement for _, cells in suite.rows] == ["chance", "better"]
