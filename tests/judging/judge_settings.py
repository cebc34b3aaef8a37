"""Judge params for the tests of this folder."""

from typing import Any

from lockstep.judging.judge_params import JudgeParams

ENDPOINT = {"url": "http://localhost/v1", "model": "m"}


def make_params(**changes: Any) -> JudgeParams:
    """Return the params of an endpoint that compares merged with base on fluency."""
    values = {
        "by": "endpoint", "endpoint": ENDPOINT, "suites": ["reply"], "records": 9,
        "dimensions": ["fluency"], "score": [],
        "compare": [{"variant": "merged", "against": "base"}], **changes,
    }  # fmt: skip
    return JudgeParams.model_validate(values)
