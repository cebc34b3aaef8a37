"""Find personal data in text by form and checksum, and replace it by placeholders.

It is masked wherever it stands, in code, URLs and JSON as well; only `git@…` is no address.
"""

import json
import re
from collections.abc import Callable
from functools import cache, partial

from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

from lockstep.data import embedded_json

_NUMBER = re.compile(r"\d[\d ().+-]{5,}\d")
"""Digits and separators that every number below contains; a quick first check."""

_JSON_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])(?!git@)[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])"
)
_CHINESE_ID = re.compile(r"(?<![\dA-Za-z])\d{17}[\dXx](?![\dA-Za-z])")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![ -]?\d)")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_TELEPHONE = re.compile(
    r"(?<![\dA-Za-z+-])(?:"
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"  # international
    r"|(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # Chinese mobile
    r"|\(?0\d{2,3}\)?[ -]\d{7,8}"  # Chinese landline
    r"|\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}"  # North America
    r")(?![\dA-Za-z-])"
)


def mask_personal_data(text: str) -> str:
    """Replace e-mail addresses and telephone, identity and bank numbers by placeholders.

    Numbers with a checksum (Chinese resident identity cards, payment cards, IBANs) are replaced
    only if the checksum is valid, so order numbers of the same length stay. JSON in the text stays
    valid: a number becomes a string.
    """
    if "@" not in text and not _NUMBER.search(text):
        return text
    pieces, position = [], 0
    for begin, end in embedded_json.find_json(text):
        pieces += [_mask_text(text[position:begin]), _mask_json(text[begin:end])]
        position = end
    return "".join([*pieces, _mask_text(text[position:])])


def _mask_json(text: str) -> str:
    """Mask the strings and the numbers of a JSON text; nothing else of it changes."""
    return _JSON_SCALAR.sub(_mask_scalar, text)


def _mask_scalar(match: re.Match[str]) -> str:
    text = match.group()
    value = json.loads(text) if text[0] == '"' else text
    masked = _mask_text(value)
    return text if masked == value else json.dumps(masked, ensure_ascii="\\u" in text)


def _mask_text(text: str) -> str:
    if "@" in text:
        text = _EMAIL.sub("[EMAIL]", text)
    if not _NUMBER.search(text):
        return text
    for pattern, is_valid, placeholder in _list_number_kinds():
        text = pattern.sub(partial(_replace_valid, is_valid, placeholder), text)
    return text


def find_personal_data(text: str) -> list[str]:
    """Return the addresses and numbers that `mask_personal_data` would replace."""
    found = _EMAIL.findall(text)
    text = _EMAIL.sub("[EMAIL]", text)
    for pattern, is_valid, placeholder in _list_number_kinds():
        found += [match.group() for match in pattern.finditer(text) if is_valid(match.group())]
        text = pattern.sub(partial(_replace_valid, is_valid, placeholder), text)
    return found


def _replace_valid(is_valid: Callable[[str], bool], placeholder: str, match: re.Match[str]) -> str:
    return placeholder if is_valid(match.group()) else match.group()


@cache
def _list_number_kinds() -> list[tuple[re.Pattern[str], Callable[[str], bool], str]]:
    """Return the pattern, the validity check and the placeholder of each kind of number."""
    return [
        (_CHINESE_ID, ric.is_valid, "[ID]"),
        (_SSN, ssn.is_valid, "[ID]"),
        (_IBAN, iban.is_valid, "[ACCOUNT]"),
        (_CARD, _is_payment_card, "[CARD]"),
        (_TELEPHONE, _is_telephone_length, "[TELEPHONE]"),
    ]


def _is_payment_card(number: str) -> bool:
    """Whether the first digit is a card network's (ISO/IEC 7812) and the checksum is valid."""
    digits = re.sub(r"\D", "", number)
    return digits[0] in "3456" and luhn.is_valid(digits)


def _is_telephone_length(number: str) -> bool:
    return 7 <= sum(map(str.isdecimal, number)) <= 15  # ITU-T E.164 allows 15 digits
