"""A log of a training has a line for each evaluation, and for a loss every 15 seconds."""

from types import SimpleNamespace

import pytest

from lockstep import progress
from lockstep.training.training_progress import ProgressCallback

pytestmark = pytest.mark.slow


def test_losses_are_printed_every_15_seconds_and_evaluations_always(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = {"seconds": 0.0}
    monkeypatch.setattr(progress.time, "monotonic", lambda: now["seconds"])
    monkeypatch.setattr(progress.CLOCK, "last_line", 0.0)
    callback = ProgressCallback(epoch_tokens=1000)
    state = SimpleNamespace(global_step=0, max_steps=100, is_world_process_zero=True)
    callback.on_train_begin(SimpleNamespace(num_train_epochs=1), state, None)
    for step in range(10, 101, 10):
        state.global_step = step
        now["seconds"] += 4
        callback.on_log(None, state, None, logs={"loss": step / 100})
    callback.on_log(None, state, None, logs={"eval_loss": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" tokens/s")[0].rsplit(", ", 1)[0] for line in lines] == [
        "train: step 40/100, loss 0.400",
        "train: step 80/100, loss 0.800",
        "train: step 100/100, validation loss 0.500",
    ]
