"""Formatting tags of prose are removed; tags that are content stay, with their entities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.cleaning.cleaner import Cleaner, Role

CLEANER = Cleaner(["html"], [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>Hello <b>you</b></p>", "Hello you\n"),
        ('<a href="x">Here</a> &amp; now<br />', "Here & now\n"),
        ("<ul><li>one<li>two</ul>", "onetwo"),
        ("Great film.<br /><br />I liked it", "Great film.\n\nI liked it"),
        ("<p>Hi<!-- no --></p>", "Hi\n"),
        ("Tom &amp; Jerry&#8217;s &quot;so&quot; &hearts;", 'Tom & Jerry’s "so" ♥'),
        ("a &lt; b, c -&gt; d &lt;3", "a < b, c -> d <3"),
    ],
)
def test_formatting_and_entities_are_removed(before: str, after: str) -> None:
    assert CLEANER.clean(before)[0] == after


@pytest.mark.parametrize(
    "text",
    [
        "What does <br> do?",
        "What does <b>bold</b> do in HTML?",
        "Which tag closes <b>this</b>?",
        "<b>标签</b>是什么",
        "10<sup>5</sup> &amp; H<sub>2</sub>O",
        "<b>a <i>b</b></i>",
        "<b>open &amp; unclosed",
        "if a<b and c>d: <i>x</i>",
        "<b class>x</b>",
        "<p>see</p><script>go()</script>",
        "<code>a  &amp; b</code>",
        "Dear <name>, <b>hello</b>",
        "&reg and &copy=1 and &nosuch; &#0;",
        "&lt;br&gt; &amp; more",
        "&amp;lt; is written so",
        "&lt;b>x and <b&gt;",
        "a&lt;b",
    ],
)
def test_markup_that_is_content_stays(text: str) -> None:
    assert CLEANER.clean(text) == (text, set())


@pytest.mark.parametrize("role", ["assistant", "reasoning", "system"])
def test_answers_keep_their_tags(role: Role) -> None:
    text = "<p>Hello <b>you</b> &amp; me</p>"
    assert CLEANER.clean(text, role) == (text, set())
    assert CLEANER.clean("you &amp; me", role)[0] == "you & me"


ESCAPES = st.sampled_from(
    ["&amp;", "&lt;", "&gt;", "amp;", "lt;", "gt;", "#60;", "&#60;", "&", "b", "/", " "]
)


@given(st.lists(ESCAPES, max_size=12).map("".join))
def test_an_escaped_tag_never_becomes_a_tag(text: str) -> None:
    after, _ = CLEANER.clean(text)
    assert "<b" not in after and "</" not in after
