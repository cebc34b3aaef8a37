"""Under DVC, timings and provenance of a run are written beside the reports."""

import json
from pathlib import Path

from tests.cli.conftest import SUCCESS, list_outputs, run_command

TIMINGS = "reports/timings/evaluate-base.json"
PROVENANCE = "reports/provenance/evaluate-base.json"


def test_a_rerun_with_the_same_result_keeps_its_timing(workspace: Path) -> None:
    assert run_command(workspace, "nothing", "out", DVC_STAGE="evaluate@base") == (
        SUCCESS,
        ["done"],
    )
    timings, provenance = workspace / TIMINGS, workspace / PROVENANCE
    assert list_outputs(workspace) == [
        "out", "out/a", "reports", "reports/provenance", PROVENANCE, "reports/timings", TIMINGS,
    ]  # fmt: skip
    first = timings.read_bytes()
    assert sorted(json.loads(first)) == ["peak_memory_mib", "seconds"]
    assert json.loads(first)["peak_memory_mib"] > 0 and json.loads(first)["seconds"] >= 0
    origin = json.loads(provenance.read_bytes())
    assert sorted(origin) == ["machine", "result"]
    altered = first.replace(b'"seconds": ', b'"seconds": 9')  # a rerun takes a different time
    timings.write_bytes(altered)
    run_command(workspace, "nothing", "out", DVC_STAGE="evaluate@base")
    assert timings.read_bytes() == altered, "the same result keeps its timing, byte for byte"
    provenance.write_text(json.dumps(origin | {"result": "of other bytes"}))
    run_command(workspace, "nothing", "out", DVC_STAGE="evaluate@base")
    assert json.loads(provenance.read_bytes()) == origin
    assert timings.read_bytes() != altered


def test_a_stage_may_add_its_own_measurements(workspace: Path) -> None:
    run_command(workspace, "measure", "out", DVC_STAGE="evaluate@base")
    assert json.loads((workspace / TIMINGS).read_bytes())["tokens_per_second"] == 12.5


def test_a_failed_run_has_no_timing(workspace: Path) -> None:
    run_command(workspace, "refuse", "out", DVC_STAGE="train")
    assert list_outputs(workspace) == []


def test_a_child_process_of_a_stage_writes_no_timing(workspace: Path) -> None:
    run_command(workspace, "nothing", "out", DVC_STAGE="train", LOCKSTEP_RUN="x")
    assert list_outputs(workspace) == ["out", "out/a"]
