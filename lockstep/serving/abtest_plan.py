"""The plan of an A/B test: a YAML file that is written before the first user is assigned."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from lockstep import params
from lockstep.errors import UserError
from lockstep.multiple_testing import LEVEL
from lockstep.params import PositiveFloat, PositiveInt, Section

Outcome = Literal["resolved", "satisfied", "converted", "revenue"]
Measure = Literal["latency", "refused", "failed"]
Share = Annotated[float, Field(gt=0, lt=1)]

UNKNOWN_WITHOUT_REPORT: frozenset[Outcome] = frozenset(("resolved", "satisfied"))
"""Outcomes that are unknown of users for whom nothing was reported; the others are then zero."""


class OutcomePlan(Section):
    """An outcome that is compared between the variants, with one value per user."""

    outcome: Outcome
    """`resolved` and `satisfied` are the mean of what was reported of a user, `converted` is
    the largest value, `revenue` is the sum."""
    baseline: float
    """Expected mean of variant a: a share for yes-or-no outcomes, an amount for revenue."""
    minimum_effect: PositiveFloat
    """Smallest difference of the means that matters."""
    standard_deviation: PositiveFloat | None = None
    """Standard deviation between users; None computes that of a share from the baseline."""
    maximum: PositiveFloat | None = None
    """Larger values of a user count as this one, so that a few large ones do not decide; None
    changes nothing."""
    report_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Expected share of the users of whom anything is reported. Without a report, `resolved` and
    `satisfied` are unknown, and the user does not count; the other outcomes are zero."""

    @model_validator(mode="after")
    def _check(self) -> "OutcomePlan":
        if self.report_rate < 1 and self.outcome not in UNKNOWN_WITHOUT_REPORT:
            raise ValueError(
                f"report_rate: {self.outcome} is zero without a report, so every user counts; "
                "remove it"
            )
        if self.standard_deviation is None and not self._is_share():
            raise ValueError(
                "standard_deviation: set it, unless baseline and baseline + minimum_effect are "
                "shares between 0 and 1"
            )
        return self

    def _is_share(self) -> bool:
        return 0 < self.baseline < self.baseline + self.minimum_effect < 1

    @property
    def variances(self) -> tuple[float, float]:
        """Variances between users of variants a and b, if b is better by the minimum effect."""
        if self.standard_deviation is not None:
            return (self.standard_deviation**2,) * 2
        better = self.baseline + self.minimum_effect
        return self.baseline * (1 - self.baseline), better * (1 - better)


class Guardrail(Section):
    """A measure that variant b must not make worse by more than a margin."""

    measure: Measure
    """`latency` is the mean of seconds until the end of an answer, `refused` the share of answers
    that refuse, `failed` the share of requests in which the server failed, each per user."""
    margin: PositiveFloat
    """Largest increase that is accepted, in seconds or as a share."""
    standard_deviation: PositiveFloat | None = None
    """Standard deviation between users; None leaves the guardrail out of the number of users."""


class AbTestPlan(Section):
    """The settings of an A/B test, fixed before it starts."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the test in the log. It is hashed with the user id: another name assigns all users
    anew."""
    share: Share = 0.5
    """Share of the users that is assigned to variant b."""
    primary: OutcomePlan
    """Outcome that decides the test."""
    window_days: PositiveFloat
    """Days after a user's first request in which requests and outcomes count. Users whose window
    has not ended do not count yet, so that what is known of a user changes no more afterwards."""
    secondary: list[OutcomePlan] = []
    """Outcomes that are reported beside it, corrected for their number."""
    guardrails: list[Guardrail] = []
    """Measures that must not get worse."""
    power: Share = 0.8
    """Probability of finding the minimum effect, which sets the number of users."""
    users_per_day: PositiveInt | None = None
    """Expected number of new users a day; None leaves the expected duration out."""

    @model_validator(mode="after")
    def _check(self) -> "AbTestPlan":
        outcomes = [outcome.outcome for outcome in self.outcomes]
        measures = [guardrail.measure for guardrail in self.guardrails]
        if len({*outcomes}) < len(outcomes) or len({*measures}) < len(measures):
            raise ValueError("an outcome or a measure is named twice; name each once")
        return self

    @property
    def secondary_level(self) -> float:
        """Level of the test of each secondary outcome, so that all hold together (Bonferroni)."""
        return LEVEL / max(1, len(self.secondary))

    @property
    def guardrail_level(self) -> float:
        """Level of the test of each guardrail, so that all hold together (Bonferroni)."""
        return LEVEL / max(1, len(self.guardrails))

    @property
    def outcomes(self) -> list[OutcomePlan]:
        """All outcomes, the primary one first."""
        return [self.primary, *self.secondary]


def read_plan(file: Path) -> AbTestPlan:
    """Read a plan; raise UserError with a line for each mistake."""
    if file.is_dir() or not file.exists():
        raise UserError(f"{file}: no such file; give the plan of the test, as docs/abtest.yaml is")
    try:
        return AbTestPlan.model_validate(params.parse(file))
    except ValidationError as error:
        lines = [line.removeprefix(": ") for line in params.describe_errors(error, AbTestPlan)]
        raise UserError("\n".join(f"{file}: {line}" for line in lines)) from None
