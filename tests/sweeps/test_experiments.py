"""Experiments are read from DVC with the inputs that determine their metrics."""

from typing import Any

import pytest

from lockstep.sweeps.experiments import (
    FOLD,
    FOLDS,
    FRACTION,
    collect_inputs,
    find_outdated_stage,
    iterate_entries,
    parse_run,
)

SPLIT = {"folds": 0, "fold": 0, "train_fraction": 0.5}


def make_lock(changed: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a lock of raw -> prepare -> predict -> evaluate, with quantize beside.

    The hash of a dep is its path, or the value of `changed` at "stage: path".
    """

    def make_path_entry(path: str, stage: str = "") -> dict[str, str]:
        return {"path": path, "md5": (changed or {}).get(f"{stage}: {path}", path)}

    return {
        "prepare": {
            "deps": [make_path_entry("raw")],
            "params": {"params.yaml": {"prepare": {"split": SPLIT, "clean": ["a"]}, "seed": 7}},
            "outs": [make_path_entry("prepared")],
        },
        "predict@merged": {
            "deps": [make_path_entry("prepared/test.jsonl"), make_path_entry("predict.py")],
            "params": {"params.yaml": {"predict.batch_size": 8, "seed": 7}},
            "outs": [make_path_entry("data/predicted/merged")],
        },
        "quantize": {
            "deps": [make_path_entry("prepared", "quantize")],
            "params": {"params.yaml": {"quantize": {"method": "int8"}}},
            "outs": [make_path_entry("quantized")],
        },
        "evaluate": {
            "deps": [
                make_path_entry("data/predicted/merged", "evaluate"),
                make_path_entry("quantized", "evaluate"),
                make_path_entry("lockstep/metrics"),
                make_path_entry("lockstep/human"),
            ],
            "params": {
                "params.yaml": {"evaluate": {"examples": 6, "metrics": {"intent": ["accuracy"]}}}
            },
            "outs": [make_path_entry("reports/metrics.json")],
        },
    }


def test_inputs_determine_the_metrics_of_the_merged_model() -> None:
    """Quantization, gates and files that stages write are not inputs."""
    assert collect_inputs(make_lock()) == {
        FRACTION: 0.5,
        FOLDS: 0,
        FOLD: 0,
        "prepare.clean": ["a"],
        "seed": 7,
        "predict.batch_size": 8,
        "raw": "raw",
        "predict.py": "predict.py",
        "evaluate.metrics.intent": ["accuracy"],
        "lockstep/metrics": "lockstep/metrics",
    }


def test_a_stage_that_has_not_run_since_a_change_is_named() -> None:
    assert find_outdated_stage(make_lock()) is None
    outdated = make_lock({"evaluate: data/predicted/merged": "old"})
    assert (
        find_outdated_stage(outdated) == "evaluate has not run since data/predicted/merged changed"
    )
    with pytest.raises(ValueError, match="unfinished: evaluate has not run"):
        collect_inputs(outdated)


def test_stages_that_ran_with_different_seeds_are_an_error() -> None:
    mixed = make_lock()
    mixed["prepare"]["params"]["params.yaml"]["seed"] = 8
    with pytest.raises(ValueError, match="unfinished: prepare ran with another seed than others"):
        collect_inputs(mixed)


def test_a_lock_without_the_model_is_an_error_that_names_the_missing_key() -> None:
    with pytest.raises(ValueError, match="no seed for data/predicted/merged"):
        collect_inputs({})


def test_a_split_that_params_yaml_leaves_out_has_its_defaults() -> None:
    lock = make_lock()
    del lock["prepare"]["params"]["params.yaml"]["prepare"]["split"]
    inputs = collect_inputs(lock)
    assert (inputs[FRACTION], inputs["prepare.split.folds"], inputs["prepare.split.fold"]) == (
        1,
        0,
        0,
    )


def make_entry(**changed: Any) -> dict[str, Any]:
    return {"rev": "0" * 40, "name": None, "data": {"metrics": {}}, "error": None, **changed}


@pytest.mark.parametrize(
    ("state", "changed", "reason"),
    [
        ("queued", {}, "queued"),
        ("success", {"error": {"msg": "dvc.yaml is broken"}}, "dvc.yaml is broken"),
        ("success", {}, "has no reports/metrics.json"),
        (
            "success",
            {"data": {"metrics": {"reports/metrics.json": {"data": {"merged": {}}}}}},
            "its reports/metrics.json lacks base",
        ),
    ],
)
def test_an_incomplete_run_is_an_error_with_the_reason(
    state: str, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse_run("a", state, make_entry(**changed))


def test_the_workspace_comes_last_and_experiments_follow_their_commit() -> None:
    failed = {"revs": [make_entry(name="tried")], "executor": {"state": "failed"}}
    succeeded = {"revs": [make_entry(rev="1" * 40)], "executor": None}
    listing = [
        make_entry(rev="workspace", experiments=None),
        make_entry(name="main", experiments=[failed, succeeded]),
    ]
    assert [(name, state) for name, state, _ in iterate_entries(listing)] == [
        ("main", "success"), ("tried", "failed"), ("1111111", "success"), ("workspace", "success"),
    ]  # fmt: skip
