import jinja2
import pytest

from stages.pages import page
from stages.pages.comparison import Change


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


@pytest.mark.parametrize("name", ["valid", "macro_f1"])
def test_what_wrong_answers_can_change_is_not_judged_by_right_ones(name: str) -> None:
    found = page.cells(name, [1.0, 1.0, 0.8], (Change(better=0, worse=0),) * 2)
    assert found[2].judgement == "worse"
