"""Synonyms replace whole words and keep their case."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.augmentation import synonyms
from lockstep.augmentation.synonyms import WordNet
from lockstep.errors import UserError

SYNONYMS = {"refund": ["repayment"], "order": ["purchase"], "café": ["bar"], "退款": ["退钱"]}


def replace_all(text: str, rate: float = 1.0, known: dict[str, list[str]] = SYNONYMS) -> str:
    return synonyms.replace_synonyms(text, rate, random.Random(7), [], known)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("refund my order", "repayment my purchase"),
        ("Refund my Order", "Repayment my Purchase"),
        ("refunds, reorder, order_id", "refunds, reorder, order_id"),
        ("the café, not cafés", "the bar, not cafés"),
        ("我要退款，谢谢", "我要退钱，谢谢"),
        ("nothing here", "nothing here"),
    ],
)
def test_whole_words_are_replaced_and_keep_their_case(text: str, after: str) -> None:
    assert replace_all(text) == after


def test_an_entry_inside_a_chinese_word_is_not_replaced() -> None:
    assert replace_all("我的手机壳", known={"机壳": ["箱"], "手": ["足"]}) == "我的手机壳"
    assert replace_all("手机坏了", known={"手机": ["电话"]}) == "电话坏了"


def test_an_entry_before_a_combining_mark_is_another_word() -> None:
    text = "a cafe\u0301 here"
    assert replace_all(text, known={"cafe": ["bar"]}) == text


def test_the_rate_is_the_share_of_words_replaced() -> None:
    assert replace_all("order order order order", rate=0.5).split().count("purchase") == 2
    assert replace_all("order order order order", rate=0.0).split().count("purchase") == 1


def test_the_longest_entry_is_replaced() -> None:
    known = {"gift": ["present"], "gift card": ["voucher"]}
    assert replace_all("my gift card", known=known) == "my voucher"


def test_a_protected_text_is_not_replaced() -> None:
    after = synonyms.replace_synonyms("order a refund", 1.0, random.Random(1), ["refund"], SYNONYMS)
    assert after == "purchase a refund"


@given(st.text(st.sampled_from("iIİıſskKKıf ")), st.integers(0, 9))
def test_letters_that_only_resemble_an_entry_are_not_replaced(text: str, seed: int) -> None:
    """A regular expression that ignores case takes the Turkish ı for an i."""
    known = {"if": ["when"], "i": ["we"], "k": ["okay"]}
    after = synonyms.replace_synonyms(text, 1.0, random.Random(seed), [], known)
    assert after.count("ı") == text.count("ı")


def test_the_dictionary_is_read_by_word(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.tsv"
    file.write_text(
        "en\tRefund\trepayment, money back\nen\trefund\treturn\nzh\t退款\t退钱\n", "utf-8"
    )
    assert synonyms.read_dictionary(file) == {
        "refund": ["repayment", "money back", "return"],
        "退款": ["退钱"],
    }


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"en\trefund\trepayment\nen refund repayment\n", ":2: must be language, word and syn"),
        (b"en\trefund\t \n", ":1: must be language, word and synonyms, tab-separated"),
        (b"en\trefund\t , ,\n", ":1: must be language, word and synonyms, tab-separated"),
        (b"en\t\trefund\n", ":1: must be language, word and synonyms, tab-separated"),
        (b"", ": empty; add synonyms or remove the method from augment.methods"),
        (b"en\tcaf\xe9\tbar\n", ": not UTF-8 at byte 6; save it as UTF-8"),
    ],
)
def test_a_bad_dictionary_is_refused_in_one_line(tmp_path: Path, data: bytes, line: str) -> None:
    file = tmp_path / "synonyms.tsv"
    file.write_bytes(data)
    with pytest.raises(UserError) as error:
        synonyms.read_dictionary(file)
    assert error.value.message.startswith(f"{file}{line}")
    assert "\n" not in error.value.message


def test_wordnet_gives_the_other_words_of_a_sense(wordnet: Path) -> None:
    net = WordNet(wordnet)
    assert net.find_synonyms("parcel") == ["package", "bundle"]
    assert net.find_synonyms("nowhere") == []
    assert net.find_synonyms("包裹") == ["包袱"]
    after = net.replace_synonyms("Parcel to send: 包裹", 1.0, random.Random(1), [])
    assert after in {f"{a} to ship off: 包袱" for a in ("Package", "Bundle")}
    assert net.replace_synonyms("the parcel", 1.0, random.Random(1), ["parcel"]) == "the parcel"


def test_an_incomplete_wordnet_is_refused(tmp_path: Path) -> None:
    """Run in a separate process, since NLTK keeps the first WordNet that it has read."""
    for name in ("wordnet", "omw-2.0"):
        (tmp_path / "corpora" / name).mkdir(parents=True)
    code = (
        "import sys, pathlib\n"
        "from lockstep.augmentation import synonyms\n"
        "synonyms.WordNet(pathlib.Path(sys.argv[1]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"lockstep.errors.UserError: {tmp_path}: incomplete WordNet: ")


def test_a_missing_wordnet_is_refused_with_the_command_that_fetches_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"no corpora/wordnet; fetch it with python -m nltk"):
        WordNet(tmp_path)
