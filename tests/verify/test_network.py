"""A stage may connect only if its params name the hub or an endpoint."""

from pathlib import Path
from typing import Any

import pytest

from lockstep import params
from lockstep.augmentation.augment_params import AugmentParams
from lockstep.hub.base_params import BaseParams
from lockstep.judging.judge_params import JudgeParams
from lockstep.training.train_params import GrpoParams
from lockstep.verify import accesses, network

ROOT = Path(__file__).parents[2]
HUB_MODEL = f"owner/name@{'a' * 40}"
PROMPT = {"prompt": "Say it in other words.", "share": 0.1, "tasks": [], "slices": {}}
LIMITS = {"batch_size": 8, "max_new_tokens": 64}
ENDPOINT = {"url": "http://localhost:8000/v1", "model": "writer", "temperature": 0.7, "seed": 7}


def change_section(name: str, **changes: Any) -> dict[str, Any]:
    """Return a section of params.yaml with some of its values changed."""
    section: dict[str, Any] = params.parse(ROOT / "params.yaml")[name]
    merged = {
        key: section.get(key, {}) | value if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return section | merged


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"source": "path", "path": "a/folder"}, False),
        ({"source": "hub", "id": "owner/name", "revision": "a" * 40}, True),
    ],
)
def test_base_may_connect_to_fetch_a_model_from_the_hub(
    changes: dict[str, Any], expected: bool
) -> None:
    section = change_section("base", **changes)
    BaseParams.model_validate(section)
    assert network.may_connect({"base": section}) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"by": "model", "model": {"folder": "a/folder"}}, False),
        ({"by": "model", "model": {"folder": HUB_MODEL}}, True),
        ({"by": "endpoint", "endpoint": {"model": "judge"}}, True),
    ],
)
def test_judge_may_connect_to_an_endpoint_or_the_hub(
    changes: dict[str, Any], expected: bool
) -> None:
    section = change_section("judge", **changes)
    JudgeParams.model_validate(section)
    assert network.may_connect({"judge": section}) is expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"method": "paraphrase", **PROMPT, **ENDPOINT}, True),
        ({"method": "local_paraphrase", "model": HUB_MODEL, **PROMPT, **LIMITS}, True),
        ({"method": "local_paraphrase", "model": "a/folder", **PROMPT, **LIMITS}, False),
        (
            {"method": "back_translation", "share": 0.1, "tasks": [], "slices": {}, **LIMITS,
             "there": "a/folder", "back": HUB_MODEL},
            True,
        ),
    ],
)  # fmt: skip
def test_augment_may_connect_to_an_endpoint_or_the_hub(
    method: dict[str, Any], expected: bool
) -> None:
    section = change_section("augment")
    section["methods"] = [*section.get("methods", []), method]
    AugmentParams.model_validate(section)
    assert network.may_connect({"augment": section}) is expected


@pytest.mark.parametrize(
    ("objective", "model", "expected"),
    [("grpo", HUB_MODEL, True), ("grpo", "data/reward", False), ("sft", HUB_MODEL, False)],
)
def test_train_may_connect_to_fetch_a_reward_model_from_the_hub(
    objective: str, model: str, expected: bool
) -> None:
    rewards = [{"kind": "model", "model": model, "weight": 1.0}]
    section = change_section("train", objective=objective, grpo={"rewards": rewards})
    GrpoParams.model_validate(section["grpo"])
    assert network.may_connect({"train": section}) is expected


def test_no_stage_may_connect_with_the_default_params() -> None:
    assert not network.may_connect(params.parse(ROOT / "params.yaml"))


@pytest.mark.parametrize(("by", "expected"), [("endpoint", True), ("none", False)])
def test_the_params_in_the_lock_decide(by: str, expected: bool) -> None:
    entry = {
        "cmd": "true",
        "params": {"params.yaml": {"judge": change_section("judge", by=by), "seed": 7}},
    }
    assert accesses.read_declaration("judge", entry, ROOT).may_connect is expected
