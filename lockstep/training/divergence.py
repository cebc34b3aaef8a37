"""The first sign that a training is lost."""

import math
from typing import Any

from lockstep.errors import UserError
from lockstep.training.train_params import Objective


def refuse_divergence(logs: dict[str, Any], step: int, objective: Objective) -> None:
    """Raise at the first loss or gradient norm that is not a finite number.

    And, where text is learnt, at a gradient of exactly 0: where activations overflow, a norm
    layer divides by infinity, and a ruined model answers evenly, with a finite loss, for ever.
    """
    for name in ("loss", "grad_norm", "eval_loss"):
        if name in logs and not math.isfinite(float(logs[name])):
            raise UserError(
                f"training diverged: {name} {logs[name]} at step {step}; "
                "lower train.learning_rate or raise train.warmup"
            )
    if objective == "sft" and float(logs.get("grad_norm", 1.0)) == 0.0:
        raise UserError(
            f"training diverged: no gradient is left at step {step}; lower train.learning_rate"
        )
