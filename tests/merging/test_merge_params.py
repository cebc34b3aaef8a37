"""The section `merge` has defaults, and names of adapters stay below their folder."""

from typing import Any

import pytest

from lockstep.merging.merge_params import MergeParams


def test_every_parameter_of_merge_has_a_default():
    assert MergeParams() == MergeParams(prompts=32, tolerance=1e-3, parity="logits", adapters=[])
    assert MergeParams().weights == []


def test_weights_are_those_of_the_trained_adapter_and_of_the_others():
    params = MergeParams.model_validate({"adapters": [{"path": "a"}, {"path": "b", "weight": 0.5}]})
    assert params.weights == [1.0, 1.0, 0.5]
    assert MergeParams(trained_weight=0.5).weights == [0.5]


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"prompts": 0}, "greater than 0"),
        ({"tolerance": 0.0}, "greater than 0"),
        ({"density": 0.0}, "greater than 0"),
        ({"combination": "sum"}, "Input should be 'cat', 'linear'"),
        ({"adapters": [{"path": "../base"}]}, "should match pattern"),
        ({"adapters": [{"path": "/etc"}]}, "should match pattern"),
        ({"adapters": [{"path": "a"}, {"path": "a"}]}, "a is listed twice; add up its weights"),
    ],
    ids=str,
)
def test_a_wrong_value_is_an_error(changes: dict[str, Any], reason: str):
    with pytest.raises(ValueError, match=reason):
        MergeParams.model_validate(changes)
