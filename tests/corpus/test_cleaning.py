"""Cleaning takes noise out, changes nothing twice, and keeps Chinese text Chinese."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus import cleaning
from stages.corpus.cleaning import Step

ALL: list[Step] = ["invisible", "width", "unicode", "punctuation", "space"]
TEXT = st.text(
    st.characters() | st.sampled_from("e\u0301\u200b\ufeff\r\n \tＡ９，．？,?:中价。"), max_size=30
)


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("unicode", "cafe\u0301", "café"),
        ("unicode", "ﬁ ① ½", "ﬁ ① ½"),
        ("invisible", "\ufeffre\u200bfund\u00ad\x07\0", "refund"),
        ("invisible", "a\r\nb\rc\td\n", "a\nb\nc\td\n"),
        ("invisible", "\u202egnihton", "gnihton"),
        ("width", "ＡＢＣ１２３，（ａ）", "ABC123，（a）"),
        ("punctuation", "Hello，how much？（now）", "Hello,how much?(now)"),
        ("punctuation", "你好,多少钱?", "你好，多少钱？"),
        ("punctuation", "版本3.5,共1,000元", "版本3.5，共1,000元"),
        ("punctuation", "时间10:30，好", "时间10:30，好"),
        ("punctuation", "“退款”、《书》——好！", "“退款”、《书》——好！"),
        ("space", "  a \t b\u3000c \n\n  d  ", "a b c\n\nd"),
    ],
)
def test_each_step_does_what_its_name_says(step: Step, before: str, after: str) -> None:
    assert cleaning.clean(before, [step]) == (after, [step] if before != after else [])


def test_steps_run_in_their_order_and_those_that_changed_the_text_are_named() -> None:
    assert cleaning.clean(" 退款\u200b吗? ", ALL) == (
        "退款吗？",
        ["invisible", "punctuation", "space"],
    )
    assert cleaning.clean(" a\u200b ", []) == (" a\u200b ", [])


@pytest.mark.parametrize(
    "text",
    [
        "请问，订单12345什么时候发货？",
        "我想退款（全额），可以吗？谢谢！",
        "「退貨」：運費多少？",
        "㐀㐁，龥",
        "iPhone 15的价格是5999元。",
    ],
)
def test_clean_chinese_stays_as_it_is(text: str) -> None:
    assert cleaning.clean(text, ALL) == (text, [])


@given(st.text(st.characters(min_codepoint=0x3400, max_codepoint=0x9FFF, categories=["Lo"])))
def test_no_chinese_character_is_lost(text: str) -> None:
    assert cleaning.clean(text, ALL) == (text, [])


@pytest.mark.parametrize("steps", [[step] for step in ALL] + [ALL], ids="-".join)
@given(text=TEXT)
def test_clean_text_is_not_changed_again(steps: list[Step], text: str) -> None:
    once, _ = cleaning.clean(text, steps)
    assert cleaning.clean(once, steps) == (once, [])


@given(TEXT)
def test_clean_text_is_composed_and_without_invisible_characters(text: str) -> None:
    after, _ = cleaning.clean(text, ALL)
    assert unicodedata.is_normalized("NFC", after)
    assert not set("\u200b\ufeff\r\0") & set(after)
    assert after == after.strip()
