"""Personal data in text, found by form and checksum, and masked by what it was."""

import re
from collections.abc import Callable
from functools import cache, partial

from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

_NUMBER = re.compile(r"\d[\d ().+-]{5,}\d")
"""What all of the numbers below have in them."""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])")
_CHINESE_ID = re.compile(r"(?<![\dA-Za-z])\d{17}[\dXx](?![\dA-Za-z])")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![ -]?\d)")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_TELEPHONE = re.compile(
    r"(?<![\dA-Za-z+-])(?:"
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"  # international
    r"|(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # a Chinese mobile
    r"|\(?0\d{2,3}\)?[ -]\d{7,8}"  # a Chinese landline
    r"|\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}"  # North America
    r")(?![\dA-Za-z-])"
)


def mask(text: str) -> str:
    """The text with e-mail addresses, telephone, identity and bank numbers named, not shown.

    Numbers with a checksum (resident identity cards of China, payment cards, IBAN) are masked
    only where it holds, so that order numbers of the same length stay.
    """
    if "@" in text:
        text = _EMAIL.sub("[EMAIL]", text)
    if not _NUMBER.search(text):
        return text
    for pattern, valid, name in _kinds():
        text = pattern.sub(partial(_named, valid, name), text)
    return text


def _named(valid: Callable[[str], bool], name: str, found: re.Match[str]) -> str:
    return name if valid(found.group()) else found.group()


@cache
def _kinds() -> list[tuple[re.Pattern[str], Callable[[str], bool], str]]:
    return [
        (_CHINESE_ID, ric.is_valid, "[ID]"),
        (_SSN, ssn.is_valid, "[ID]"),
        (_IBAN, iban.is_valid, "[ACCOUNT]"),
        (_CARD, _is_card, "[CARD]"),
        (_TELEPHONE, _has_enough_digits, "[TELEPHONE]"),
    ]


def _is_card(number: str) -> bool:
    """A payment card: its network's digit first (ISO/IEC 7812), and the last one checks."""
    digits = re.sub(r"\D", "", number)
    return digits[0] in "3456" and luhn.is_valid(digits)


def _has_enough_digits(number: str) -> bool:
    return 7 <= sum(map(str.isdecimal, number)) <= 15  # ITU-T E.164 allows 15
