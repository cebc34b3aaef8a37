"""The right number of words changes in every language, and protected texts stay."""

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.augmentation import noise, words
from lockstep.segmentation import split_words

CHANGES = [
    words.delete_words,
    words.swap_words,
    noise.add_keyboard_typos,
    noise.replace_homophones,
    noise.widen_characters,
    noise.swap_case,
]


def delete_words(text: str, rate: float, seed: int = 7) -> str:
    return words.delete_words(text, rate, random.Random(seed), [])


@pytest.mark.parametrize(("count", "deleted"), [(3, 1), (20, 1), (41, 2), (101, 5)])
def test_deletion_removes_one_word_in_twenty_and_at_least_one(count: int, deleted: int) -> None:
    text = " ".join("word" + "abcdefghij"[n % 10] for n in range(count))
    assert len(delete_words(text, 0.05).split()) == count - deleted


@pytest.mark.parametrize("text", ["", "refund", "refund please", "退款", "1 2 3 4"])
def test_deletion_does_not_change_short_texts(text: str) -> None:
    assert delete_words(text, 0.5) == text


def test_deletion_removes_whole_chinese_words() -> None:
    text = "请问我的订单12345什么时候发货"
    results = {delete_words(text, 0.05, seed) for seed in range(60)}
    assert "请问我的订单12345发货" not in results
    assert "请问我的订单12345时候发货" in results
    assert "请问我的12345什么时候发货" in results
    assert all("12345" in after for after in results)


def test_deletion_removes_a_word_with_its_apostrophe_and_one_space() -> None:
    results = {delete_words("don't you see", 0.1, seed) for seed in range(50)}
    assert results == {"you see", "don't see", "don't you"}


@pytest.mark.parametrize("text", ["one two three", "请问退款多久", "a b c d e f g h"])
def test_deletion_never_removes_everything(text: str) -> None:
    assert len(delete_words(text, 1.0)) > 0


def test_swap_changes_the_order_of_words_and_nothing_else() -> None:
    text = "Where is my blue parcel, please?"
    after = words.swap_words(text, 0.2, random.Random(7), [])
    assert after != text and after.endswith("?") and "," in after
    assert Counter(after.replace(",", "").split()) != Counter() and sorted(
        after.replace(",", "").replace("?", "").split()
    ) == sorted(text.replace(",", "").replace("?", "").split())


def test_keyboard_typos_are_neighbouring_keys() -> None:
    neighbours = {"q": "wa", "g": "tyfhbv", "p": "ol", "m": "njk"}
    for letter, keys in neighbours.items():
        typos = {
            noise.add_keyboard_typos(letter, 1.0, random.Random(seed), []) for seed in range(200)
        }
        assert typos == set(keys), letter
    assert noise.add_keyboard_typos("G", 1.0, random.Random(1), []).isupper()


def test_homophones_sound_the_same() -> None:
    rng = random.Random(3)
    assert noise.replace_homophones("weak 7", 1.0, rng, []) == "week 7"
    from pypinyin import lazy_pinyin

    after = noise.replace_homophones("请问退款多久到账", 1.0, rng, [])
    assert after != "请问退款多久到账" and len(after) == 8
    assert lazy_pinyin(list(after)) == lazy_pinyin(list("请问退款多久到账"))


def test_width_and_case_change_only_latin_characters() -> None:
    assert noise.widen_characters("ab,1 中", 1.0, random.Random(1), []) == "ａｂ，１ 中"
    assert noise.swap_case("Ab 中", 1.0, random.Random(1), []) == "aB 中"


TEXT = st.text(st.sampled_from("ab c1 2,.请问我的订单什么时候退款A'é"), max_size=40)


@pytest.mark.parametrize("change", CHANGES)
@given(TEXT, TEXT, st.floats(0, 1), st.integers(0, 9))
def test_protected_texts_are_not_changed(
    change: Callable[..., str], before: str, after: str, rate: float, seed: int
) -> None:
    value = "tent 42 帐篷"
    text = f"{before} {value} {after}"
    assert value in change(text, rate, random.Random(seed), [value])


@pytest.mark.parametrize("change", CHANGES[:4])
@given(TEXT, st.floats(0, 1), st.integers(0, 9))
def test_digits_are_not_changed(
    change: Callable[..., str], text: str, rate: float, seed: int
) -> None:
    after = change(text, rate, random.Random(seed), [])
    assert [c for c in after if c.isdecimal()] == [c for c in text if c.isdecimal()]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("मुझे हिन्दी में लिखिए", ["मुझे", "हिन्दी", "में", "लिखिए"]),
        ("আমি বাংলায় গান", ["আমি", "বাংলায়", "গান"]),
        ("தமிழ் மொழி இனிது", ["தமிழ்", "மொழி", "இனிது"]),
        ("السَّلَامُ عَلَيْكُمْ كُلَّكُمْ", ["السَّلَامُ", "عَلَيْكُمْ", "كُلَّكُمْ"]),
        (
            "cafe\u0301 nai\u0308ve re\u0301sume\u0301",
            ["café", "naïve", "résumé"],
        ),
        ("วันนี้อากาศดี", ["วัน", "นี้", "อากาศ", "ดี"]),
    ],
)
def test_words_of_any_script_are_deleted_and_swapped_whole(text: str, parts: list[str]) -> None:
    for seed in range(5):
        swapped = words.swap_words(text, 1.0, random.Random(seed), [])
        deleted = delete_words(text, 0.1, seed)
        assert sorted(split_words(swapped)) == sorted(parts)
        assert deleted.replace(" ", "") in {
            "".join(parts[:i] + parts[i + 1 :]) for i in range(len(parts))
        }


@pytest.mark.parametrize("change", CHANGES)
def test_letters_with_combining_marks_keep_them(change: Callable[..., str]) -> None:
    text = "e\u0301e\u0301 a\u0308"
    for seed in range(5):
        after = change(text, 0.5, random.Random(seed), [])
        assert re.findall(".\u0301", after) == ["e\u0301", "e\u0301"]
