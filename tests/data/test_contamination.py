"""A text that shares n consecutive words with a test or benchmark text is found, and no other."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import contamination, ngrams
from lockstep.errors import UserError


def find_contaminated(texts: list[str], forbidden: list[str], words: int) -> list[str]:
    grams = ngrams.hash_word_ngrams(ngrams.normalize_texts(texts), words)
    hashes = contamination.collect_ngrams(forbidden, words)
    is_contaminated = contamination.contains_any(grams, hashes)
    return [text for text, found in zip(texts, is_contaminated, strict=True) if found]


def test_case_and_punctuation_are_ignored() -> None:
    texts = [
        "please: WHERE is my blue parcel now?",
        "where is my red parcel now",
        "我想知道蓝色包裹在哪里",
        "short",
    ]
    forbidden = ["Where is my blue parcel", "蓝色包裹在哪"]
    assert find_contaminated(texts, forbidden, 5) == [texts[0], texts[2]]
    assert find_contaminated(texts, forbidden, 0) == []
    assert find_contaminated(texts, [], 5) == []
    assert find_contaminated(texts, ["too few"], 5) == []


WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "价"]), max_size=9)


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5), st.integers(1, 4))
def test_the_result_equals_a_comparison_of_word_lists(
    texts: list[list[str]], others: list[list[str]], n: int
) -> None:
    def list_word_runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    forbidden = set().union(*map(list_word_runs, others)) if others else set()
    expected = [" ".join(words) for words in texts if list_word_runs(words) & forbidden]
    assert expected == find_contaminated(
        [" ".join(words) for words in texts], [" ".join(words) for words in others], n
    )


def test_every_string_of_a_benchmark_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"turns": ["one", {"x": "two"}], "n": NaN}\n')
    (tmp_path / "c.csv").write_text("prompt,label\nthree,safe\n")
    texts = contamination.read_benchmarks(tmp_path, ["b.jsonl", "c.csv"])
    assert texts == {"b.jsonl": ["one", "two"], "c.csv": ["three", "safe"]}


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
