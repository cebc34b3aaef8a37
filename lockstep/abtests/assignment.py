"""Assign users to variants: the same user always gets the same variant of a test."""

import hashlib
from typing import Literal

AbVariant = Literal["a", "b"]


def assign_variant(user: str, salt: str, share: float) -> AbVariant:
    """Return the variant of a user, "b" for this share of all users.

    It depends on nothing but the arguments, so every process assigns alike and no table is kept.
    A user who gets b at some share also gets it at every larger one. The salt makes the assignments
    of two tests independent.
    """
    digest = hashlib.sha256(f"{salt}\0{user}".encode()).digest()
    return "b" if int.from_bytes(digest[:8]) < share * 2**64 else "a"
