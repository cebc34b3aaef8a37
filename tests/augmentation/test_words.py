"""As many words changed as asked, in every language, and what is protected stays."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.augmentation import noise, words

CHANGES = [words.delete, words.swap, noise.keyboard, noise.homophones, noise.width, noise.case]


def deleted(text: str, rate: float, seed: int = 7) -> str:
    return words.delete(text, rate, random.Random(seed), [])


@pytest.mark.parametrize(("count", "gone"), [(3, 1), (20, 1), (41, 2), (101, 5)])
def test_deletion_takes_one_word_in_twenty_and_at_least_one(count: int, gone: int) -> None:
    text = " ".join("word" + "abcdefghij"[n % 10] for n in range(count))
    assert len(deleted(text, 0.05).split()) == count - gone


@pytest.mark.parametrize("text", ["", "refund", "refund please", "退款", "1 2 3 4"])
def test_deletion_leaves_short_text_alone(text: str) -> None:
    assert deleted(text, 0.5) == text


def test_deletion_takes_whole_chinese_words() -> None:
    text = "请问我的订单12345什么时候发货"
    results = {deleted(text, 0.05, seed) for seed in range(60)}
    assert "请问我的订单12345发货" not in results
    assert "请问我的订单12345时候发货" in results
    assert "请问我的12345什么时候发货" in results
    assert all("12345" in after for after in results)


def test_deletion_takes_a_word_with_its_apostrophe_and_one_of_its_blanks() -> None:
    results = {deleted("don't you see", 0.1, seed) for seed in range(50)}
    assert results == {"you see", "don't see", "don't you"}


@pytest.mark.parametrize("text", ["one two three", "请问退款多久", "a b c d e f g h"])
def test_deletion_never_takes_everything(text: str) -> None:
    assert len(deleted(text, 1.0)) > 0


def test_swap_changes_places_and_nothing_else() -> None:
    text = "Where is my blue parcel, please?"
    after = words.swap(text, 0.2, random.Random(7), [])
    assert after != text and after.endswith("?") and "," in after
    assert Counter(after.replace(",", "").split()) != Counter() and sorted(
        after.replace(",", "").replace("?", "").split()
    ) == sorted(text.replace(",", "").replace("?", "").split())


def test_wrong_keys_are_neighbours() -> None:
    near = {"q": "wa", "g": "tyfhbv", "p": "ol", "m": "njk"}
    for letter, keys in near.items():
        found = {noise.keyboard(letter, 1.0, random.Random(seed), []) for seed in range(200)}
        assert found == set(keys), letter
    assert noise.keyboard("G", 1.0, random.Random(1), []).isupper()


def test_homophones_sound_the_same() -> None:
    draw = random.Random(3)
    assert noise.homophones("weak 7", 1.0, draw, []) == "week 7"
    from pypinyin import lazy_pinyin

    after = noise.homophones("请问退款多久到账", 1.0, draw, [])
    assert after != "请问退款多久到账" and len(after) == 8
    assert lazy_pinyin(list(after)) == lazy_pinyin(list("请问退款多久到账"))


def test_width_and_case() -> None:
    assert noise.width("ab,1 中", 1.0, random.Random(1), []) == "ａｂ，１ 中"
    assert noise.case("Ab 中", 1.0, random.Random(1), []) == "aB 中"


TEXT = st.text(st.sampled_from("ab c1 2,.请问我的订单什么时候退款A'é"), max_size=40)


@pytest.mark.parametrize("change", CHANGES)
@given(TEXT, TEXT, st.floats(0, 1), st.integers(0, 9))
def test_what_is_protected_stays(
    change: Callable[..., str], before: str, after: str, rate: float, seed: int
) -> None:
    value = "tent 42 帐篷"
    text = f"{before} {value} {after}"
    assert value in change(text, rate, random.Random(seed), [value])


@pytest.mark.parametrize("change", [words.delete, words.swap, noise.keyboard, noise.homophones])
@given(TEXT, st.floats(0, 1), st.integers(0, 9))
def test_every_digit_stays(change: Callable[..., str], text: str, rate: float, seed: int) -> None:
    after = change(text, rate, random.Random(seed), [])
    assert [c for c in after if c.isdecimal()] == [c for c in text if c.isdecimal()]
