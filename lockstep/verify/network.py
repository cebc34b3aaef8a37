"""Decide from the params of a stage whether it may open network connections."""

from collections.abc import Mapping
from typing import Any

from lockstep.hub import auxiliary_models


def may_connect(params: Mapping[str, Any]) -> bool:
    """Whether the params of a stage name an endpoint, or a model or data set on the hub.

    `params` maps sections of params.yaml to their values, as dvc.lock records them for a stage.
    """
    base, judge = params.get("base", {}), params.get("judge", {})
    methods = params.get("augment", {}).get("methods", [])
    sources = params.get("prepare", {}).get("sources", [])
    train = params.get("train", {})
    rewards = train.get("grpo", {}).get("rewards", []) if train.get("objective") == "grpo" else []
    return (
        base.get("source") == "hub"
        or judge.get("by") == "endpoint"
        or (judge.get("by") == "model" and _names_hub_model(judge.get("model", {})))
        or any(source.get("hub") for source in sources)
        or any(map(_names_hub_model, rewards))
        or any(m.get("method") == "paraphrase" or _names_hub_model(m) for m in methods)
    )


def _names_hub_model(settings: Mapping[str, Any]) -> bool:
    return any(isinstance(v, str) and auxiliary_models.is_hub_name(v) for v in settings.values())
