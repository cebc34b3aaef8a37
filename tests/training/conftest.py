"""Training runs of the tiny model within this process."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from transformers import TrainerCallback

from lockstep.models import seq2seq
from lockstep.models.compute import LaunchParams
from lockstep.records import Record
from lockstep.training import interruption, trainer_arguments
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.training_plan import Params, Plan, plan_training
from lockstep.training.training_run import load_model
from tests.conftest import LABELS, make_tiny_params


@pytest.fixture(scope="session")
def make_params() -> Callable[..., Params]:
    """Return the params of a run, with changes by dotted path below `train`; `__` is a dot."""

    def make(**changes: Any) -> Params:
        paths = {f"train.{path.replace('__', '.')}": value for path, value in changes.items()}
        values = make_tiny_params(paths)
        return Params.model_validate({name: values[name] for name in Params.model_fields})

    return make


@pytest.fixture(scope="session")
def make_records(corpus: list[Record]) -> Callable[[str], list[Record]]:
    """Return records that suit an objective."""

    def make(objective: str) -> list[Record]:
        if objective in ("dpo", "orpo", "simpo", "reward"):
            return [replace(r, rejected=f"no {r.answer[:6]}") for r in corpus]
        if objective == "kto":
            return [replace(r, desirable=place % 3 > 0) for place, r in enumerate(corpus)]
        if objective == "classification":
            return [r for r in corpus if r.task == "intent"] * 3
        if objective == "regression":
            return [
                replace(r, messages=[*r.prompt, {"role": "assistant", "content": str(place / 4)}])
                for place, r in enumerate(corpus)
            ]
        return corpus

    return make


@pytest.fixture
def make_plan(
    tiny_model: Path,
    make_records: Callable[[str], list[Record]],
    make_params: Callable[..., Params],
    tmp_path: Path,
) -> Callable[..., Plan]:
    """Return the plan of a run on records that suit the objective."""

    def make(seed: int = 7, base: Path = tiny_model, **changes: Any) -> Plan:
        params = make_params(**changes)
        rows = make_records(params.train.objective)
        config = trainer_arguments.build_trainer_config(
            params.train,
            seed,
            "cpu",
            tmp_path / "scratch",
            is_seq2seq=seq2seq.is_seq2seq(base),
        )
        return plan_training(base, rows, rows, {"intent": LABELS}, params, config)

    return make


class KilledError(BaseException):
    """Raised in place of the end of the process."""


class _Kill(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KilledError


class _Interrupt(TrainerCallback):
    """Send a signal during the evaluation of a step."""

    def __init__(self, step: int, handler: interruption.Interruption) -> None:
        self.step, self.handler = step, handler

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.handler(signal.SIGTERM, None)


@pytest.fixture
def run_training(
    tiny_model: Path,
    make_plan: Callable[..., Plan],
    make_params: Callable[..., Params],
    tmp_path: Path,
) -> Callable[..., Any]:
    """Train to the end and return the trainer."""
    from lockstep.training import trainers

    def run(
        folder: str = "run",
        killed_at: int = 0,
        interrupted_at: int = 0,
        save_steps: int | Literal["epoch"] = 1,
        seed: int = 7,
        base: Path = tiny_model,
        **changes: Any,
    ) -> Any:
        """Train, by default saving a checkpoint at each step.

        `killed_at` ends the run by an exception at that step. `interrupted_at` sends a signal in
        the evaluation of that step; the run then saves its only checkpoint.
        """
        planned, handler = make_plan(seed, base, **changes), interruption.Interruption()
        (tmp_path / folder).mkdir(exist_ok=True)
        checkpoints = Checkpoints(tmp_path / folder, 0 if interrupted_at else save_steps, 2)
        model = load_model(base, make_params(**changes), planned.head, "cpu")
        trainer = trainers.build_trainer(model, planned)
        trainer.prepare_to_resume(checkpoints, handler, planned)
        trainer.add_callback(_Interrupt(interrupted_at, handler))
        if killed_at:
            trainer.add_callback(_Kill(killed_at))
            with pytest.raises(KilledError):
                trainer.train_to_end()
        else:
            trainer.train_to_end()
        return trainer

    return run


@pytest.fixture
def make_launch() -> Callable[..., LaunchParams]:
    """Return a `runtime.launch` of one process, with changes."""
    values = {
        "processes": 1, "machines": 1, "machine": 0, "address": "", "port": 29500,
        "strategy": "ddp", "zero_stage": 3, "offload": False,
    }  # fmt: skip
    return lambda **changes: LaunchParams.model_validate(values | changes)
