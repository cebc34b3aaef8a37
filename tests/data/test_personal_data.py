"""Personal data is replaced by placeholders; numbers that only look like it stay."""

import json

import pytest

from lockstep.data.personal_data import mask_personal_data


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+shop@mail.example.co.uk.", "Write to [EMAIL]."),
        ("邮箱是zhang_san@example.cn，谢谢", "邮箱是[EMAIL]，谢谢"),
        ("我的手机号13912345678", "我的手机号[TELEPHONE]"),
        ("打 138-1234-5678 或 010-87654321", "打 [TELEPHONE] 或 [TELEPHONE]"),
        ("call +44 20 7946 0958 now", "call [TELEPHONE] now"),
        ("call (212) 555-0187 now", "call [TELEPHONE] now"),
        # the example of GB 11643-1999, and the same with another check digit
        ("身份证11010519491231002X", "身份证[ID]"),
        ("单号110105194912310021", "单号110105194912310021"),
        # Visa's published test number, and one whose Luhn digit is wrong
        ("card 4111 1111 1111 1111.", "card [CARD]."),
        ("order 4111 1111 1111 1112.", "order 4111 1111 1111 1112."),
        # the example of ISO 13616 for the United Kingdom
        ("IBAN GB29 NWBK 6016 1331 9268 19!", "IBAN [ACCOUNT]!"),
        ("IBAN GB28 NWBK 6016 1331 9268 19!", "IBAN GB28 NWBK 6016 1331 9268 19!"),
        ("ssn 536-90-4399", "ssn [ID]"),
    ],
)
def test_personal_data_is_masked(text: str, masked: str) -> None:
    assert mask_personal_data(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "订单20260714001什么时候到？",
        "Order 20260714 of 2026-07-14, 3 pieces at 1,299.00",
        "the year 1999, room 1203, 15:30",
        "version 1.2.3.4 and 192.168.0.1",
        "me @ home",
    ],
)
def test_other_numbers_are_not_masked(text: str) -> None:
    assert mask_personal_data(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            '{"phone": 13912345678, "mail":  "a@b.example", "n": [1, 2.5]}',
            '{"phone": "[TELEPHONE]", "mail":  "[EMAIL]", "n": [1, 2.5]}',
        ),
        ('So: {"t": "tel:\\n13912345678"}', 'So: {"t": "tel:\\n[TELEPHONE]"}'),
        ('{"t": "\\u00e9 a@b.example"}', '{"t": "\\u00e9 [EMAIL]"}'),
    ],
)
def test_json_stays_valid(text: str, masked: str) -> None:
    assert mask_personal_data(text) == masked
    json.loads(masked[masked.index("{") :])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("```\nwrite to a@b.example\n```", "```\nwrite to [EMAIL]\n```"),
        ("https://shop.example/?mail=a@b.example&x=1", "https://shop.example/?mail=[EMAIL]&x=1"),
        ("git clone git@host.example:a/b.git", "git clone git@host.example:a/b.git"),
    ],
)
def test_code_and_urls_are_masked_as_well(text: str, masked: str) -> None:
    assert mask_personal_data(text) == masked
