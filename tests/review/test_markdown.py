"""Texts of data in the review comment: no markup of theirs is rendered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lockstep.review.comment import MAX_CHARACTERS, cut_lines
from lockstep.review.markdown import format_table, quote, shorten_list


@given(st.text(alphabet=st.characters() | st.sampled_from("`|\\<>@*_[]()!\n&#")))
def test_any_text_is_one_code_span_of_one_cell(text: str) -> None:
    table = "\n".join(format_table(["a", "b"], [(quote(text), "end")]))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(table)
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4 and cells[3].content == "end"
    kinds = [child.type for child in cells[2].children or []]
    assert kinds == ["text" if quote(text) == "(empty)" else "code_inline"]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("plain", "`plain`"),
        ("a `b` c", "``a `b` c``"),
        ("`b`", "`` `b` ``"),
        ("a|b\n c", "`a¦b c`"),
        ("safe\u202egnp.exe", "`safe gnp.exe`"),
        ("", "(empty)"),
        ("x" * 90, f"`{'x' * 79}…`"),
    ],
)
def test_texts_become_code_spans(text: str, span: str) -> None:
    assert quote(text) == span


def test_a_long_comment_is_cut_between_lines() -> None:
    comment = "".join(f"- line {n} of a long comment\n" for n in range(4000))
    cut = cut_lines(comment)
    assert len(cut) < MAX_CHARACTERS
    *lines, blank, note = cut.splitlines()
    assert (blank, lines) == ("", comment.splitlines()[: len(lines)])
    assert note.startswith("The rest is left out here")
    assert cut_lines(comment[:500]) == comment[:500]


def test_a_long_list_ends_with_the_number_of_the_others() -> None:
    assert shorten_list(["- a", "- b", "- c"], 2, "files") == ["- a", "- b", "- and 1 more files"]
    assert shorten_list(["- a"], 2, "files") == ["- a"]
