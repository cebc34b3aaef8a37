"""Cleaning removes noise, changes clean text no further, and is safe for Chinese text."""

import re
import unicodedata

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import personal_data
from lockstep.data.cleaning import cleaner, wrong_encoding
from lockstep.data.cleaning.cleaner import (
    Cleaner,
    Role,
    Step,
    Steps,
    list_steps,
)
from lockstep.data.cleaning.protected_text import PLACEHOLDER, protect_text

WITHOUT_PATTERNS: list[Step] = ["invisible", "width", "unicode", "punctuation", "space"]
ALL: list[Step] = [
    "encoding", "unicode", "invisible", "html", "width", "punctuation", "boilerplate",
    "personal_data", "space",
]  # fmt: skip
PIECES = st.sampled_from(
    [
        "&amp;",
        "lt;",
        "<br>",
        "<b",
        ">",
        "</p>",
        "Ã©",
        "13812345678",
        "a@b.co",
        "110101",
        "Sent",
        "-",
        "`",
        "```\n",
        "\n    ",
        "{}",
        "[1]",
        "&#96;",
        "ハロー!",
        "a: b\n",
        "x = 1",
        "https://a.b/?c",
    ]
)
TEXT = st.lists(
    st.characters()
    | st.sampled_from("e\u0301\u200b\u200c\u200d\u200f\u202aאمក😀\ufeff\r\n \tＡ９，．？,?:中价。")
    | PIECES,
    max_size=30,
).map("".join)


def clean(text: str, steps: list[Step], role: Role = "user") -> tuple[str, set[Step]]:
    return Cleaner(steps, [r"^Sent from .*$"]).clean(text, role)


def is_not_mojibake(text: str) -> bool:
    return not wrong_encoding.may_be_wrong(text)


FTFY_CHARACTERS = "".join(ftfy.badness.MOJIBAKE_CATEGORIES.values())


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("unicode", "cafe\u0301", "café"),
        ("unicode", "ﬁ ① ½", "ﬁ ① ½"),
        ("invisible", "\ufeffre\u200bfund\u00ad\x07\0", "refund"),
        ("invisible", "a\r\nb\rc\td\n", "a\nb\nc\td\n"),
        ("invisible", "\u202egnihton", "gnihton"),
        ("invisible", "a\u200db می\u200cخواهم 👨\u200d👩", "ab می\u200cخواهم 👨\u200d👩"),
        ("invisible", "a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("invisible", "שלום \u200f(C++)\u200f, A\u200e!", "שלום \u200f(C++)\u200f, A\u200e!"),
        ("invisible", "\u202bسعر 5$\u202c\nHi\u200f, \u202aok\u202c", "\u202bسعر 5$\u202c\nHi, ok"),
        (
            "invisible",
            "क\u094d\u200dष ه\u200d ส\u200b re\u200cfund",
            "क\u094d\u200dष ه\u200d ส refund",
        ),
        (
            "invisible",
            "❤\ufe0f\u200d🔥 👩🏽\u200d⚕\ufe0f 😀\u200d a",
            "❤\ufe0f\u200d🔥 👩🏽\u200d⚕\ufe0f 😀 a",
        ),
        ("invisible", "ខ្ញុំ\u200bស្រលាញ់\u200b a\u200bb", "ខ្ញុំ\u200bស្រលាញ់ ab"),
        ("width", "ＡＢＣ１２３，（ａ）", "ABC123，（a）"),
        ("punctuation", "Hello，how much？（now）", "Hello,how much?(now)"),
        ("punctuation", "你好,多少钱?", "你好，多少钱？"),
        ("punctuation", "版本3.5,共1,000元", "版本3.5，共1,000元"),
        ("punctuation", "时间10:30，好", "时间10:30，好"),
        ("punctuation", "“退款”、《书》——好！", "“退款”、《书》——好！"),
        ("punctuation", "はい！（うれしい）。", "はい！（うれしい）。"),
        ("punctuation", "ハロー！ｶﾅ？", "ハロー！ｶﾅ？"),
        ("punctuation", "何ですか?東京,大阪!", "何ですか？東京,大阪！"),
        ("punctuation", "안녕하세요? 네！ 大韓民國, 만세", "안녕하세요? 네！ 大韓民國, 만세"),
        ("punctuation", "列奥纳多・达・芬奇,你好", "列奥纳多・达・芬奇，你好"),
        ("encoding", "la cafÃ© ouvre â€“ merci", "la café ouvre – merci"),
        ("encoding", "价格：５元 “好” ﬁ", "价格：５元 “好” ﬁ"),
        ("html", "<p>Hi<br/>you &amp; me</p>", "Hi\nyou & me\n"),
        ("html", "a < b and b > c, List<int>", "a < b and b > c, List<int>"),
        ("boilerplate", "Where is it?\nSent from my phone", "Where is it?\n"),
        ("personal_data", "call 13812345678 or a.b@c.org", "call [TELEPHONE] or [EMAIL]"),
        ("space", "  a \t b\u3000c ", "a b c"),
        ("space", "  - a \n- b", "  - a\n- b"),
        ("space", "\n\n    x\n  y\n", "    x\n  y"),
        ("space", " a\nb ", "a\nb"),
        ("space", "a\tb\nc \t d", "a\tb\nc d"),
        ("space", "a  \nb   \nc  \n\nd  ", "a  \nb\nc\n\nd"),
        ("space", "　　はい　そう\n  네", "はい そう\n네"),
        ("space", "\u3000\u3000首先 \n\u3000\u3000其次\n  最后", "首先\n其次\n最后"),
        (
            "space",
            "So:  \n```\nif x:\n\tgo  (1)\n```\n  or  ok\n  so  then",
            "So:\n```\nif x:\n\tgo  (1)\n```\n  or ok\n  so then",
        ),
        ("html", "Use <b>this</b>: ```<b>x</b>```", "Use this: ```<b>x</b>```"),
        ("punctuation", "打印：```f(甲,乙)``` 好,", "打印：```f(甲,乙)``` 好，"),
        ("punctuation", "打印 `x`：```x```，ok", "打印 `x`：```x```，ok"),
    ],
)
def test_each_step_cleans_as_documented(step: Step, before: str, after: str) -> None:
    assert clean(before, [step]) == (after, {step} if before != after else set())


def test_the_steps_that_changed_the_text_are_returned() -> None:
    assert clean(" 退款\u200b吗? ", ALL) == (
        "退款吗？",
        {"invisible", "punctuation", "space"},
    )
    assert clean(" a\u200b ", []) == (" a\u200b ", set())


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
def test_clean_chinese_text_is_not_changed(text: str) -> None:
    assert clean(text, ALL) == (text, set())


@given(st.text(st.characters(min_codepoint=0x3400, max_codepoint=0x9FFF, categories=["Lo"])))
def test_no_chinese_character_is_lost(text: str) -> None:
    assert clean(text, ALL) == (text, set())


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2)
        | st.sampled_from(FTFY_CHARACTERS)
        | st.sampled_from(["a", " ", "A", ".", "\u200b", "中"]),
        max_size=8,
    )
    .map("".join)
    .filter(is_not_mojibake)
)
def test_ftfy_changes_no_text_that_the_quick_check_skips(text: str) -> None:
    assert ftfy.fix_encoding(text) == text


@given(st.from_regex(cleaner._CLEAN, fullmatch=True))
def test_no_step_changes_text_that_the_quick_check_calls_clean(text: str) -> None:
    assert not any(is_needed(text) for is_needed in cleaner._IS_NEEDED.values())
    assert personal_data.mask_personal_data(text) == text


@pytest.mark.parametrize("steps", [[step] for step in ALL] + [WITHOUT_PATTERNS, ALL], ids="-".join)
@given(text=TEXT)
def test_clean_text_is_not_changed_again(steps: list[Step], text: str) -> None:
    once, _ = clean(text, steps)
    assert clean(once, steps) == (once, set())


@given(TEXT)
def test_clean_text_is_composed_and_without_invisible_characters(text: str) -> None:
    after, _ = clean(text, ALL)
    protected = protect_text(after, strip_tags=True)
    prose = PLACEHOLDER.split(protected.prose)
    assert all(unicodedata.is_normalized("NFC", part) for part in prose)
    assert not set("\u200b\ufeff\x0c\0") & set(protected.prose) and "\r" not in after
    assert protected.prose == protected.prose.strip("\n").rstrip()


@pytest.mark.parametrize(
    ("steps", "defaults", "expected"),
    [
        (["space"], ["html"], {"user": ["space"], "assistant": ["space"], "arguments": []}),
        ({"assistant": []}, ["html"], {"user": ["html"], "assistant": [], "tool": []}),
        (
            {"tool": ["space"]},
            {"user": ["html"]},
            {"user": ["html"], "text": [], "tool": ["space"]},
        ),
    ],
)
def test_steps_belong_to_a_role(
    steps: Steps, defaults: Steps, expected: dict[Role, list[Step]]
) -> None:
    cleaner = Cleaner(list_steps(steps, defaults), [])
    assert {role: cleaner.steps.get(role, []) for role in expected} == expected


def test_each_role_has_its_own_steps() -> None:
    cleaner = Cleaner({"user": ["space"], "assistant": ["width"]}, [])
    assert cleaner.clean("Ａ  b", "user")[0] == "Ａ b"
    assert cleaner.clean("Ａ  b", "assistant")[0] == "A  b"
    assert cleaner.clean("Ａ  b", "tool")[0] == "Ａ  b"


@pytest.mark.parametrize("pattern", ["^Bye.*$", "Yours.*$", "^Hello|Yours.*$"])
def test_boilerplate_is_found_at_the_start_and_inside_of_a_line(pattern: str) -> None:
    cleaner = Cleaner(["boilerplate"], [pattern])
    for text in ("Bye now", "All is well. Yours truly", "All is well", "Fine\nBye now"):
        expected = re.sub(pattern, "", text, flags=re.MULTILINE)
        assert cleaner.clean(text)[0] == expected


def test_boilerplate_is_looked_for_only_in_roles_with_that_step() -> None:
    cleaner = Cleaner({"user": ["boilerplate"], "assistant": ["space"]}, ["Bye"])
    assert not cleaner.is_clean("Bye", "user") and cleaner.is_clean("Bye", "assistant")
