"""Keys of older versions of params.yaml and their new places."""

from typing import Any

MOVED_KEYS = {
    "people": "human",
    "strategies": "train.adapter",
    "evaluate.suites.*.metrics": "evaluate.metrics.TASK",
    "evaluate.suites.*.json_schema": "evaluate.json_schemas.TASK",
    "evaluate.suites": "predict.suites",
    "evaluate.backend": "predict.backend",
    "evaluate.batch_size": "predict.batch_size",
    "evaluate.max_length": "predict.max_length",
    "evaluate.max_new_tokens": "predict.max_new_tokens",
    "evaluate.fit_records": "predict.split_records",
    "evaluate.harness": "predict.lm_eval",
    "evaluate.stability.variations": "predict.robustness.kinds",
    "evaluate.stability": "predict.robustness",
    "evaluate.retrieval": "predict.retrieval",
    "report.slices": "evaluate.summary_slices",
    "report.examples": "evaluate.examples",
}
"""Old key -> new key. A star stands for each item of a list or mapping."""

REMOVED_KEYS = {
    "base.allowed_config_keys": "unknown keys of config.json are kept with a note",
}
"""Old key -> why it is no longer needed."""


def remove_moved_keys(values: dict[str, Any]) -> list[str]:
    """Remove all old keys from the values and return a line for each that says where it went."""
    changes = {old: f"moved to {new}" for old, new in MOVED_KEYS.items()}
    changes |= {
        old: f"removed, since {reason}; leave it out" for old, reason in REMOVED_KEYS.items()
    }
    return [
        f"{old}: {change}" for old, change in changes.items() if _remove_key(values, old.split("."))
    ]


def _remove_key(values: Any, path: list[str]) -> bool:
    """Remove a key at a path; return whether it was there."""
    first, *rest = path
    if first == "*":
        items = list(values.values()) if isinstance(values, dict) else values
        removed = [_remove_key(item, rest) for item in items] if isinstance(items, list) else []
        return any(removed)
    if not isinstance(values, dict) or first not in values:
        return False
    if rest:
        return _remove_key(values[first], rest)
    del values[first]
    return True
