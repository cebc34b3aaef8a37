"""Divide requests between the variants of an A/B test: a user always gets the same one."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from lockstep.serving.abtest_plan import AbTestPlan

AbVariant = Literal["a", "b"]

PRODUCT = "tuned"
"""Name of the model in the requests that are divided."""


def assign_variant(user: str, test: str, share: float) -> AbVariant:
    """Return the variant of a user in the test of this name, "b" for this share of all users.

    It depends on nothing but the arguments, so every process assigns alike and no table is kept.
    A user who gets b at some share also gets it at every larger one. The name makes the assignments
    of two tests independent.
    """
    digest = hashlib.sha256(f"{test}\0{user}".encode()).digest()
    return "b" if int.from_bytes(digest[:8]) < share * 2**64 else "a"


@dataclass(frozen=True, slots=True)
class Route:
    """The model that answers a request."""

    model: str
    variant: AbVariant | Literal[""] = ""
    """Variant to which a test assigned the user; empty if the request is not part of a test."""
    test: str = ""
    """Name of the test."""


@dataclass(frozen=True, slots=True)
class AbTestRouter:
    """The division of the users of a test between two models."""

    plan: AbTestPlan
    a: str
    b: str

    def choose(self, model: str, user: str) -> Route:
        """Return the route of a request by its model and its user.

        A request that names another model than the product gets it. Without a user, variant a
        answers. Neither is part of the test.
        """
        if model != PRODUCT:
            return Route(model)
        if not user:
            return Route(self.a)
        name = self.plan.name
        variant = assign_variant(user, name, self.plan.share)
        return Route(self.a if variant == "a" else self.b, variant, name)


def keep_model(model: str, user: str) -> Route:
    """Return the route of a request while there is no test: the model that it names."""
    return Route(model)
