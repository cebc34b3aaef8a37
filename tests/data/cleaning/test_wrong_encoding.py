"""Text under a wrong encoding is repaired if it was UTF-8, named otherwise, and else left alone."""

import pytest

from lockstep.data.cleaning.cleaner import Cleaner
from lockstep.data.cleaning.wrong_encoding import guess_encoding, repair_encoding

SENTENCES = {
    "gb18030": [
        "我想退款，可以吗？谢谢",
        "你好",
        "退款",
        "请问iPhone 15 Pro的价格是多少",
        "医生您好，我最近三天一直发烧咳嗽，需要做什么检查吗？",
    ],
    "shift_jis": ["こんにちは。返品したいです", "カメラの電源が入りません"],
    "euc_jp": ["こんにちは。返品したいです", "カメラの電源が入りません"],
    "big5": ["我想退貨，可以嗎？謝謝", "什麼時候出貨"],
    "euc_kr": ["안녕하세요 환불하고 싶어요", "언제 배송되나요?"],
    "cp1251": ["Привет, как дела?", "Где моя посылка?"],
    "koi8_r": ["Привет, как дела?", "Где моя посылка?"],
}
CORRECT = [
    "Tôi muốn trả hàng, được không? Cảm ơn bạn",
    "Zażółć gęślą jaźń – „tak” i ‚nie’",
    "Θέλω επιστροφή χρημάτων· «ναι»",
    "Il a dit « déjà vu » à l’été, créée à «NÎMES»…",
    "Türkçe öğreniyorum, İstanbul ığüşöç",
    "INFORMAÇÃO DA NAÇÃO: NÃO É ação",
    "¿Qué? ¡Él dijo: «¿Água?»!",
    "Ärger? „Öl“ ‚ß‘ für 5 € à 7 £ ±2 µm²",
    "ÀÁÂÃÄÅ",
    "Þú ert ágætur, Ångström",
    "žluťoučký kůň",
    "5×3÷2, ½ à ¾, 100 °C",
    "«Привет», 你好，はい！",
]


@pytest.mark.parametrize("read_as", ["latin-1", "sloppy-windows-1252"])
@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in SENTENCES.items() for text in texts]
)
def test_a_wrong_encoding_is_named_and_not_repaired(encoding: str, text: str, read_as: str) -> None:
    damaged = text.encode(encoding).decode(read_as)
    assert guess_encoding(damaged) == encoding
    assert repair_encoding(damaged) == damaged


@pytest.mark.parametrize("text", CORRECT)
def test_correct_text_is_left_alone(text: str) -> None:
    assert guess_encoding(text) is None
    assert repair_encoding(text) == text


@pytest.mark.parametrize("text", ["la café ouvre – merci", "schön", "我想退款"])
def test_utf_8_is_repaired(text: str) -> None:
    damaged = text.encode().decode("sloppy-windows-1252")
    assert guess_encoding(damaged) is None
    assert repair_encoding(damaged) == text


def test_the_encoding_is_guessed_only_where_the_step_is_set() -> None:
    damaged = "我想退款".encode("gb18030").decode("latin-1")
    cleaner = Cleaner({"user": ["encoding"], "assistant": ["space"]}, [])
    assert cleaner.guess_wrong_encoding(damaged, "user") == "gb18030"
    assert cleaner.guess_wrong_encoding(damaged, "assistant") is None
