"""The section `judge` with few values."""

from typing import Any

from lockstep.judging.judge_params import Judge

ENDPOINT = {"url": "http://localhost/v1", "model": "m", "options": {}, "timeout_seconds": 1}
MODEL = {"folder": "", "batch_size": 1, "max_new_tokens": 1}


def settings(**changed: Any) -> Judge:
    """An endpoint that compares merged with base on fluency, or what `changed` says."""
    values = {
        "by": "endpoint", "endpoint": ENDPOINT, "model": MODEL, "suites": ["reply"], "records": 9,
        "reference": True, "dimensions": ["fluency"], "score": [],
        "compare": [{"variant": "merged", "against": "base"}], **changed,
    }  # fmt: skip
    return Judge.model_validate(values)
