from typing import Any

import pytest

from lockstep.review.experiments import FOLD, FOLDS, FRACTION, entries, late_stage, made_of, read

SPLIT = {"folds": 0, "fold": 0, "train_fraction": 0.5}


def lock(md5: dict[str, str] | None = None) -> dict[str, Any]:
    """raw -> prepare -> evaluate -> report, and quantize beside; hashes by `reader: path`."""

    def entry(path: str, reader: str = "") -> dict[str, str]:
        return {"path": path, "md5": (md5 or {}).get(f"{reader}: {path}", path)}

    return {
        "prepare": {
            "deps": [entry("raw")],
            "params": {"params.yaml": {"prepare": {"split": SPLIT, "clean": ["a"]}, "seed": 7}},
            "outs": [entry("prepared")],
        },
        "evaluate@merged": {
            "deps": [entry("prepared/test.jsonl"), entry("evaluate.py")],
            "params": {"params.yaml": {"evaluate.batch_size": 8, "seed": 7}},
            "outs": [entry("data/evaluated/merged")],
        },
        "quantize": {
            "deps": [entry("prepared", "quantize")],
            "params": {"params.yaml": {"quantize": {"method": "int8"}}},
            "outs": [entry("quantized")],
        },
        "report": {
            "deps": [entry("data/evaluated/merged", "report"), entry("report.py")],
            "params": {"params.yaml": {"report": {"examples": 6}}},
            "outs": [entry("reports/metrics.json")],
        },
    }


def test_a_run_is_made_of_what_its_merged_model_stems_from() -> None:
    """Neither of how it is quantized and reported, nor of what its own stages made."""
    assert made_of(lock()) == {
        FRACTION: 0.5,
        FOLDS: 0,
        FOLD: 0,
        "prepare.clean": ["a"],
        "seed": 7,
        "evaluate.batch_size": 8,
        "raw": "raw",
        "evaluate.py": "evaluate.py",
    }


def test_a_stage_that_has_not_run_since_another_is_told() -> None:
    assert late_stage(lock()) is None
    late = lock({"report: data/evaluated/merged": "old"})
    assert late_stage(late) == "report has not run since data/evaluated/merged changed"
    with pytest.raises(ValueError, match="unfinished: report has not run"):
        made_of(late)


def test_stages_that_ran_with_two_seeds_are_no_run() -> None:
    mixed = lock()
    mixed["prepare"]["params"]["params.yaml"]["seed"] = 8
    with pytest.raises(ValueError, match="unfinished: prepare has another seed than others"):
        made_of(mixed)


def test_a_lock_without_the_model_says_what_it_lacks() -> None:
    with pytest.raises(ValueError, match=f"no {FRACTION} for data/evaluated/merged"):
        made_of({})


def entry(**changed: Any) -> dict[str, Any]:
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
def test_what_is_no_run_says_why(state: str, changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        read("a", state, entry(**changed))


def test_the_workspace_comes_last_and_experiments_behind_their_commit() -> None:
    tried = {"revs": [entry(name="tried")], "executor": {"state": "failed"}}
    done = {"revs": [entry(rev="1" * 40)], "executor": None}
    listing = [
        entry(rev="workspace", experiments=None),
        entry(name="main", experiments=[tried, done]),
    ]
    assert [(name, state) for name, state, _ in entries(listing)] == [
        ("main", "success"), ("tried", "failed"), ("1111111", "success"), ("workspace", "success"),
    ]  # fmt: skip
