"""A word is a run of letters with their marks; scripts without spaces are segmented."""

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import segmentation

SPACED = [
    "हिन्दी में लिखिए",
    "আমি বাংলায় গান গাই",
    "தமிழ் மொழி இனிது",
    "السَّلَامُ عَلَيْكُمْ",
    "שָׁלוֹם עוֹלָם",
    "می\u200cخواهم بروم",
    unicodedata.normalize("NFD", "café naïve Việt"),
]


@pytest.mark.parametrize("text", SPACED)
def test_marks_and_joiners_stay_with_their_letter(text: str) -> None:
    expected = text.split()
    assert segmentation.split_words(text) == expected
    assert segmentation.split_characters_and_words(text) == expected
    assert [text[a:b] for a, b in segmentation.find_letter_words(text)] == expected


def test_chinese_is_segmented_by_jieba() -> None:
    """The example is the one in jieba's README, in its accurate mode."""
    text = "我来到北京清华大学"
    assert segmentation.split_words(text) == ["我", "来到", "北京", "清华大学"]
    assert segmentation.split_characters_and_words(text) == [*text]


def test_japanese_is_segmented_and_counted_by_character() -> None:
    text = "公園まで歩いた。ﾀｸｼｰ"
    assert segmentation.split_words(text)[:2] == ["公園", "まで"]
    assert segmentation.split_characters_and_words(text) == [*"公園まで歩いたﾀｸｼｰ"]


def test_thai_is_segmented() -> None:
    """ "today", "weather" and "good" are three words."""
    words = ["วัน", "นี้", "อากาศ", "ดี"]
    assert segmentation.split_words("วันนี้อากาศดี") == words
    assert segmentation.split_characters_and_words("วันนี้อากาศดี") == words


def test_digits_belong_to_words_but_not_to_words_of_letters() -> None:
    text = "don't pay A4 twice, x_y 12"
    assert segmentation.split_words(text) == ["don", "t", "pay", "A4", "twice", "x", "y", "12"]
    found = [text[a:b] for a, b in segmentation.find_letter_words(text)]
    assert found == ["don't", "pay", "A", "twice", "x", "y"]


def test_a_character_has_its_marks() -> None:
    assert segmentation.split_graphemes("e\u0301a") == ["e\u0301", "a"]
    assert segmentation.split_graphemes("नमस्ते")[:2] == ["न", "म"]


TEXT = st.text(
    st.characters(categories=["L", "M", "Nd", "Zs", "Po"])
    | st.sampled_from("你价のカกขนี\u0e49\u093e\u0301\u200dab")
)


@settings(deadline=None)  # the first Chinese text loads the dictionary
@given(TEXT)
def test_words_join_to_the_text_and_no_mark_starts_one(text: str) -> None:
    spans = segmentation.find_letter_words(text)
    assert all(a < b for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(spans))
    for words in (
        segmentation.split_words(text),
        segmentation.split_characters_and_words(text),
        [text[a:b] for a, b in spans],
    ):
        assert not any(unicodedata.category(word[0]).startswith("M") for word in words)
    letters = "".join(
        character for character in text if character.isalpha() or character.isdecimal()
    )
    joined = "".join(segmentation.split_words(text))
    assert "".join(c for c in joined if c.isalpha() or c.isdecimal()) == letters
    assert "".join(segmentation.split_characters_and_words(text)) == joined
    assert "".join(segmentation.split_graphemes(text)) == text
