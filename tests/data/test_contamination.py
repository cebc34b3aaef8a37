"""A text that shares n consecutive words with a test or benchmark text is found, and no other."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import contamination, ngrams
from lockstep.data.normalized_texts import normalize_texts
from lockstep.errors import UserError


def find_contaminated(texts: list[str], protected: list[str], words: int) -> dict[int, str]:
    """Return {index of a text: the protected text that shares as many words}."""
    grams = ngrams.hash_unit_ngrams(normalize_texts(texts).drop_signs(), words)
    strings = {"b.jsonl": [(text, text) for text in protected]}
    return contamination.find_contaminated(
        grams,
        np.arange(len(texts)),
        texts.__getitem__,
        contamination.protect_benchmarks(strings, words),
        words,
    )


def test_case_punctuation_and_signs_are_ignored() -> None:
    texts = ["please: WHERE is my *blue* parcel now?", "where is my red parcel now", "short"]
    protected = ["Something else", "Where is my blue parcel"]
    assert find_contaminated(texts, protected, 5) == {0: protected[1]}
    assert find_contaminated(texts, protected, 0) == {}
    assert find_contaminated(texts, [], 5) == {}
    assert find_contaminated(texts, ["too few"], 5) == {}


def test_numbers_count() -> None:
    assert find_contaminated(["add 12 and 7 now"], ["add 15 and 7 now"], 4) == {}
    assert find_contaminated(["add 12 and 7 now"], ["add 12 and 7 now"], 4) != {}


@pytest.mark.parametrize(
    ("text", "protected", "words"),
    [
        ("请问我的订单什么时候可以发货", "你好，请问我的订单什么时候可以发货？", 8),
        ("注文した商品がまだ届きません", "すみません、注文した商品がまだ届きません。", 9),
        ("วันนี้อากาศดีมากเราจึงเดินไปสวน", "ครับ วันนี้อากาศดีมากเราจึงเดินไปสวน", 10),
        ("हिन्दी में लिखें", "कृपया हिन्दी में लिखें", 3),
    ],
)
def test_words_of_languages_without_spaces_are_counted(
    text: str, protected: str, words: int
) -> None:
    """A Chinese text has eight words in fourteen characters."""
    assert find_contaminated([text], [protected], words) == {0: protected}
    assert find_contaminated([text], [protected], words + 1) == {}


WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "价"]), max_size=9)


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5), st.integers(1, 4))
def test_the_result_equals_a_comparison_of_word_lists(
    texts: list[list[str]], others: list[list[str]], n: int
) -> None:
    def list_word_runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    found = find_contaminated(
        [" ".join(words) for words in texts], [" ".join(words) for words in others], n
    )
    protected = set().union(*map(list_word_runs, others)) if others else set()
    expected = {i for i, words in enumerate(texts) if list_word_runs(words) & protected}
    assert found.keys() == expected
    for index, text in found.items():
        assert list_word_runs(text.split()) & list_word_runs(texts[index])


def test_every_string_of_a_benchmark_is_read_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"turns": ["one", {"x": "two"}], "n": NaN}\n')
    (tmp_path / "c.csv").write_text("prompt,label\nthree,safe\n")
    (tmp_path / "d.json").write_text('{"about": "four",\n "items": [{"a": "five"}], "b": ["six"]}')
    texts = contamination.read_benchmarks(tmp_path, ["b.jsonl", "c.csv", "*.json"])
    assert texts.pop("*.json") == [("d.json:1", "four"), ("d.json:1", "five"), ("d.json:1", "six")]
    assert texts == {
        "b.jsonl": [("b.jsonl:1", "one"), ("b.jsonl:1", "two")],
        "c.csv": [("c.csv:2", "three"), ("c.csv:2", "safe")],
    }


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("b.jsonl", b'{"a": "ok"}\n{broken\n', "b.jsonl:2: not JSON; repair it or correct "),
        ("b.jsonl", b"", "b.jsonl: no text in it; correct "),
        ("b.csv", b"a,b\n1,2,3\n", "b.csv:2: not JSON; repair it or correct "),
        ("b.jsonl", b'{"a": "caf\xe9"}\n', "b.jsonl: not utf-8 at byte 10, line 1; it looks like "),
        ("none.csv", None, "none.csv: not found; put it there or correct "),
    ],
)
def test_an_unreadable_benchmark_is_refused(
    tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        contamination.read_benchmarks(tmp_path, [name])
    assert error.value.message.startswith(f"{tmp_path}/{message}")
    assert "prepare.sources" not in error.value.message
