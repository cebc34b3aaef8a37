"""The section `evaluate`: mistakes that its schema refuses by name."""

from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.statistics.evaluate_params import EvaluateParams

PARAMS: dict[str, Any] = {"metrics": {}, "slices": [], "gates": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"json_schemas": {"slots": {"type": "dict"}}},
            r"json_schemas\n.*slots: .*\$\.type: 'dict' is not valid",
        ),
        (
            {"metrics": {"slots": ["valid", "valid"]}},
            r"metrics\n.*slots: a metric is named twice; name each once",
        ),
    ],
)
def test_a_mistake_is_refused_by_the_name_of_its_task(
    changes: dict[str, Any], message: str
) -> None:
    EvaluateParams.model_validate(PARAMS)
    with pytest.raises(ValidationError, match=message):
        EvaluateParams.model_validate(PARAMS | changes)
