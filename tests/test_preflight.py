"""`make preflight` prints what the training will need, without training."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lockstep import preflight
from tests.conftest import write_params

pytestmark = pytest.mark.slow


@pytest.fixture
def run_preflight(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in a folder with the outputs of base, prepare and augment."""
    (workspace / "data").mkdir()
    for name in ("base", "augmented", "prepared"):
        (workspace / name).rename(workspace / "data" / name)
    monkeypatch.chdir(workspace)

    def invoke(status: str = "true", **changes: object) -> Result:
        monkeypatch.setattr(preflight, "STATUS_COMMAND", [status])
        write_params(workspace, {key.replace("__", "."): v for key, v in changes.items()})
        return CliRunner().invoke(preflight.main, [])

    return invoke


def test_preflight_prints_the_estimate_and_the_time(
    run_preflight: Callable[..., Result], workspace: Path
):
    result = run_preflight()
    assert result.exit_code == 0, result.output
    rows, memory, disk, seconds = result.stdout.splitlines()
    assert rows.startswith("12 rows, ")
    assert rows.endswith(" padding, 6 steps")
    assert memory.startswith("about 0.0")
    assert disk == "checkpoints of 0.00 GB"
    assert seconds.endswith(" seconds")
    assert " s per forward and backward pass: about " in seconds
    assert sorted(path.name for path in (workspace / "data").iterdir()) == [
        "augmented", "base", "prepared"
    ]  # fmt: skip


def test_preflight_says_how_much_is_quantized(run_preflight: Callable[..., Result]):
    result = run_preflight(train__strategy="qlora")
    assert result.exit_code == 0, result.output
    assert ", 100% of the matrices in the transformer blocks" in result.stdout.splitlines()[0]


def test_outdated_data_is_refused(run_preflight: Callable[..., Result]):
    result = run_preflight(status="false")
    assert result.exit_code == 2
    assert "data/ does not match params.yaml" in result.output


def test_a_model_that_is_sharded_is_checked_by_its_weights_only(
    run_preflight: Callable[..., Result],
):
    result = run_preflight(
        train__strategy="full",
        train__accumulation_steps=2,
        runtime__launch={"processes": 2, "strategy": "fsdp"},
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the weights fit; fsdp shards the rest among 2 processes")


@pytest.mark.parametrize(
    ("seconds", "text"), [(89, "89 seconds"), (90, "2 minutes"), (5400, "1.5 hours")]
)
def test_times_have_a_fitting_unit(seconds: float, text: str):
    assert preflight.format_time(seconds) == text
