"""Rendering: unknown names are errors, and all text is escaped, in both languages."""

import jinja2
import pytest

from lockstep.reporting import rendering
from lockstep.reporting.texts import Text, say


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendering.render("page.html.j2", {})


def test_markdown_shows_text_literally() -> None:
    assert rendering.escape_markdown("a|b *c* [d](e)") == r"a\|b \*c\* \[d\](e)"
    assert "<" not in rendering.escape_markdown("<img src=x>")


def test_long_texts_are_clipped_with_their_length() -> None:
    assert rendering.clip("short") == "short"
    assert rendering.clip("x" * 1240) == "x" * 600 + "… (1,240 characters)"


def test_a_message_is_shown_in_both_languages_with_its_values_escaped() -> None:
    shown = rendering.show_message("Labels of {task}", task="<b>")
    assert shown == (
        '<span lang="en">Labels of &lt;b&gt;</span><span lang="zh">&lt;b&gt; 的标签</span>'
    )
    nested = rendering.show_message("base {gap}", gap=say("{size} points", size="+2.0"))
    assert '<span lang="zh">基础模型 +2.0 个百分点</span>' in nested


def test_terms_without_a_translation_stand_once() -> None:
    assert rendering.show_both("a label") == "a label"
    assert rendering.show_both("<i>") == "&lt;i&gt;"
    assert rendering.show_both(Text("5", "5")) == "5"
    assert rendering.show_both("accuracy").endswith('<span lang="zh">准确率</span>')
