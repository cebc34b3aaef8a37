"""Values that cannot be meant are refused before anything is asked."""

from typing import Any

import pytest

from tests.judging.settings import ENDPOINT, settings

PAIR = {"variant": "merged", "against": "base"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"compare": [{"variant": "base", "against": "base"}]}, "base is not compared against"),
        ({"compare": [PAIR, {"variant": "base", "against": "merged"}]}, "compare: name each once"),
        ({"compare": []}, "nothing to judge"),
        ({"dimensions": ["fluency", "fluency"]}, "dimensions: name each once"),
        ({"by": "model"}, "model.folder: empty"),
        ({"endpoint": {**ENDPOINT, "model": ""}}, "endpoint.model: empty"),
        ({"endpoint": {**ENDPOINT, "options": {"stream": True}}}, "options: stream may not be set"),
        ({"endpoint": {**ENDPOINT, "url": "localhost"}}, "url"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changed)
