"""A change of a text is shown so that a reader sees every character that differs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.text_changes import show_change


def show(before: str, after: str) -> str:
    return show_change(before, after, coloured=False)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("Hello world", "Hello there", "Hello [-world-]{+there+}"),
        ("a  b", "a b", "a [-·-]b"),
        ("a\u200bb", "ab", "[-a⟨U+200B⟩b-]{+ab+}"),
        ("one\r\ntwo", "one\ntwo", "one[-⟨CR⟩-]\ntwo"),
        ("end\t\n", "end", "end[-⇥↵-]"),
        ("x\u00a0y", "x y", "x[-⟨U+00A0⟩-]{+·+}y"),
        ("cafe\u0301!", "caf\u00e9!", "[-cafe⟨U+0301⟩-]{+caf\u00e9+}!"),
        ("好，吗", "好,吗", "好[-，-]{+,+}吗"),
    ],
)
def test_the_parts_that_differ_are_marked(before: str, after: str, shown: str) -> None:
    assert show(before, after) == shown


def test_marks_of_other_scripts_stay_as_they_are() -> None:
    assert show("हिन्दी", "हिन्दी है") == "हिन्दी{+·है+}"


def test_colours_replace_the_brackets() -> None:
    shown = show_change("red", "green", coloured=True)
    assert "\x1b[31m" in shown and "\x1b[32m" in shown and "[-" not in shown


def test_long_unchanged_parts_are_shortened() -> None:
    shown = show(f"{'a ' * 500}x{' b' * 500} y", f"{'a ' * 500}z{' b' * 500} w")
    assert len(shown) < 200
    assert shown.startswith("…a a") and shown.endswith("[-y-]{+w+}")
    assert "[-x-]{+z+}" in shown


def test_a_long_text_is_compared_from_its_first_change_on() -> None:
    shown = show(f"{'same ' * 100_000}x", f"{'same ' * 100_000}y")
    assert shown.endswith("[-x-]{+y+}")
    shown = show("a" + " b" * 5000, "c" + " b" * 5000)
    assert shown.endswith("… (up to 6001 more characters are not compared)")


@given(st.text(st.sampled_from("ab ,.\u3042"), max_size=60), st.text("ab ,.\u3042", max_size=60))
def test_both_texts_can_be_read_off(before: str, after: str) -> None:
    shown = show(before, after).replace("·", " ")
    assert re.sub(r"\[-(.*?)-\]", "", shown).replace("{+", "").replace("+}", "") == after
    assert re.sub(r"\{\+(.*?)\+\}", "", shown).replace("[-", "").replace("-]", "") == before
