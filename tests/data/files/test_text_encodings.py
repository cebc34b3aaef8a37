"""A wrong encoding is named with line and byte, and text that decodes by chance is refused."""

import gzip
from pathlib import Path

import pytest

from lockstep.data.invalid_bytes import has_invalid_bytes
from lockstep.errors import UserError
from tests.data.files.reading import read, write

CHINESE = "text,label\n我想查询一下上个月的订单，什么时候可以发货？,物流\n请问怎么申请退款,退款\n"
TRADITIONAL = "text,label\n請問我上個月的訂單什麼時候可以出貨？,物流\n我想申請退款,退款\n"
JAPANESE = "text,label\n商品はいつ届きますか。,配送\n返品したいのですが、いいですか。,返品\n"
KOREAN = "text,label\n주문한 상품은 언제 도착하나요?,배송\n환불을 신청하고 싶습니다.,환불\n"
RUSSIAN = "text,label\nКогда придёт мой заказ?,доставка\nЯ хочу вернуть товар.,возврат\n"
FRENCH = "text,label\nOù est ma commande passée hier ?,livraison\nDéjà reçu,réglé\n"


@pytest.mark.parametrize("declared", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc-jp"),
        (KOREAN, "euc-kr"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
    ],
)
def test_the_likely_encoding_is_named_before_a_row_is_accepted(
    tmp_path: Path, text: str, encoding: str, declared: str
) -> None:
    file = write(tmp_path, "a.csv", text.encode(encoding))
    with pytest.raises(UserError) as error:
        read(file, encoding=declared)
    reason = "it looks like" if declared == "utf-8" else "its bytes are"
    assert f"{reason} {encoding}" in error.value.message
    assert "correct encoding in prepare.sources" in error.value.message
    assert len(read(file, encoding=encoding)[0]) == 2


@pytest.mark.parametrize("text", [CHINESE, JAPANESE, RUSSIAN, FRENCH])
@pytest.mark.parametrize("declared", ["gb18030", "latin-1", "cp932"])
def test_utf_8_under_another_name_is_refused(tmp_path: Path, text: str, declared: str) -> None:
    with pytest.raises(UserError, match="utf-8"):
        read(write(tmp_path, "a.csv", text.encode()), encoding=declared)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "latin-1"),
        (FRENCH, "cp1252"),
        (FRENCH, "iso8859-15"),
        (CHINESE, "gbk"),
        (CHINESE, "gb2312"),
        (TRADITIONAL, "cp950"),
        (JAPANESE, "shift_jis"),
        ("text,label\nΠού είναι η παραγγελία μου;,α\n", "iso8859-7"),
        ("text,label\nสั่งซื้อสินค้าไปเมื่อวาน,ก\n", "tis-620"),
        ("text,label\nאיפה ההזמנה שלי,א\n", "cp1255"),
        ("text,label\nأين طلبي من فضلك,ا\n", "cp1256"),
        ("text,label\nZamówienie złożyłem wczoraj,ł\n", "cp1250"),
    ],
)
def test_the_right_encoding_is_accepted(tmp_path: Path, text: str, encoding: str) -> None:
    rows, notes = read(write(tmp_path, "a.csv", text.encode(encoding)), encoding=encoding)
    assert [tuple(row.values()) for _, row in rows] == [
        tuple(line.rsplit(",", 1)) for line in text.splitlines()[1:]
    ]
    assert notes == ""


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_damaged_lines_are_counted_and_the_others_are_read(
    tmp_path: Path, encoding: str, packing: str
) -> None:
    lines = CHINESE.encode(encoding).splitlines(keepends=True)
    data = lines[0] + lines[1] * 15 + b"a\xff\xffb,x\n" + lines[2] * 15 + b"\x81,y\n"
    byte = data.index(b"\xff")
    pack = gzip.compress if packing else bytes
    rows, notes = read(write(tmp_path, f"a.csv{packing}", pack(data)), encoding=encoding)
    assert notes == (
        f"2 lines have bytes that are invalid in {encoding} (first in line 17, byte {byte}: "
        "ff ff); rows that need them are rejected"
    )
    assert len(rows) == 32
    assert rows[15] == ("17", {"text": "a\udcff\udcffb", "label": "x"})


def test_a_file_that_is_mostly_undecodable_is_refused(tmp_path: Path) -> None:
    lines = CHINESE.encode("gb18030").splitlines(keepends=True)
    data = lines[0] + lines[1] * 15 + "好,a\n".encode() * 14
    with pytest.raises(UserError, match="not utf-8 at byte 11, line 2; "):
        read(write(tmp_path, "a.csv", data))


def test_a_damaged_header_is_one_error(tmp_path: Path) -> None:
    data = b"text,la\xffbel\n" + CHINESE.encode() * 3
    with pytest.raises(UserError) as error:
        read(write(tmp_path, "a.csv", data))
    assert error.value.message.endswith(
        "a.csv: the header has bytes that cannot be decoded as utf-8 (ff); repair it or correct "
        "encoding in prepare.sources"
    )


def test_a_row_whose_closing_quote_is_damaged_ends_with_its_line(tmp_path: Path) -> None:
    good = '"你好\n你好",a\n'.encode()
    data = b"text,label\n" + good * 3 + b'"x\xff,b\n' + good * 3
    rows, _ = read(write(tmp_path, "a.csv", data))
    assert [place for place, _ in rows] == ["2", "4", "6", "8", "9", "11", "13"]
    assert rows[3] == ("8", "invalid_csv")
    assert rows[4][1] == {"text": "你好\n你好", "label": "a"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    text = FRENCH.replace(",", "\t") if name == "a.tsv" else FRENCH
    file = write(tmp_path, name, text.encode(encoding))
    for declared in ("utf-8", "gb18030"):
        rows, notes = read(file, encoding=declared)
        assert rows[1][1] == {"text": "Déjà reçu", "label": "réglé"}
        plain = encoding.removesuffix("-sig")
        expected = f"is read as {plain}, as its byte order mark says, not as {declared}"
        assert notes == ("" if plain == declared else expected)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognized(tmp_path: Path, encoding: str) -> None:
    file = write(tmp_path, "a.csv", "text,label\nhello there,greeting\n".encode(encoding))
    with pytest.raises(UserError, match=f"not utf-8: its bytes are {encoding}; correct encoding"):
        read(file)
    assert len(read(file, encoding=encoding)[0]) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_few_damaged_characters_of_utf_16_reject_their_rows(
    tmp_path: Path, encoding: str
) -> None:
    lines = ["text,label", *(f"hello {number},a" for number in range(20))]
    text = "\n".join(lines) + "\n"
    half = "\ud800".encode(
        encoding.removesuffix("-le").removesuffix("-be") + "-le", "surrogatepass"
    )
    order = encoding[-2:] if encoding[-3:] in ("-le", "-be") else "le"
    half = half if order == "le" else half[::-1]
    before, _, after = text.partition("hello 7,")
    wide = f"{encoding[:6]}-{order}"
    mark = "".encode(encoding)
    data = mark + before.encode(wide) + half + f"hello 7,{after}".encode(wide)
    rows, notes = read(write(tmp_path, "a.csv", data), encoding=encoding)
    assert len(rows) == 20 and rows[8][1] == {"text": "hello 8", "label": "a"}
    shown = half.hex(" ")
    assert f"1 line has bytes that are invalid in {encoding} (first in line 9, byte " in notes
    assert shown[:5] in notes and has_invalid_bytes(rows[7][1]["text"])


def test_text_that_is_mostly_not_utf_16_is_refused(tmp_path: Path) -> None:
    data = "\ud800a\udfffb\n".encode("utf-16-le", "surrogatepass") * 30
    with pytest.raises(UserError, match="not utf-16-le at byte 0, line 1; "):
        read(write(tmp_path, "a.csv", data), encoding="utf-16-le")
