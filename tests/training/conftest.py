"""Trainings of the tiny model, as the stage plans and runs them, within this process."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from lockstep.models.compute import Launch
from lockstep.records import Record
from lockstep.training import interruption, trainer_arguments
from lockstep.training.checkpoints import Run
from lockstep.training.training_plan import Plan, draw_up
from stages.train import Params, load
from tests.conftest import LABELS, tiny_params


@pytest.fixture(scope="session")
def chosen() -> Callable[..., Params]:
    """The parameters of the stage, with `changes` by dotted path below `train` or `strategies`."""

    def make(**changes: Any) -> Params:
        given = {path.replace("__", "."): value for path, value in changes.items()}
        paths = {p if p.startswith("strategies.") else f"train.{p}": v for p, v in given.items()}
        values = tiny_params(paths)
        return Params.model_validate({name: values[name] for name in Params.model_fields})

    return make


@pytest.fixture(scope="session")
def learnable(corpus: list[Record]) -> Callable[[str], list[Record]]:
    """Records that an objective can learn from."""

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
def plan(
    tiny: Path,
    learnable: Callable[[str], list[Record]],
    chosen: Callable[..., Params],
    tmp_path: Path,
) -> Callable[..., Plan]:
    """A plan to train on what the objective learns from."""

    def make(seed: int = 7, base: Path = tiny, **changes: Any) -> Plan:
        parameters = chosen(**changes)
        rows = learnable(parameters.train.objective)
        config = trainer_arguments.build(parameters.train, seed, "cpu", tmp_path / "scratch")
        labels = {"intent": LABELS}
        return draw_up(base, rows, rows, labels, parameters.train, parameters.strategies, config)

    return make


class KilledError(BaseException):
    """Stands for the end of the process."""


class _Kill(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KilledError


class _AskForTheEnd(TrainerCallback):
    """A signal while the evaluation of that step runs."""

    def __init__(self, step: int, asked: interruption.Interruption) -> None:
        self.step, self.asked = step, asked

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.asked(signal.SIGTERM, None)


@pytest.fixture
def trained(
    tiny: Path, plan: Callable[..., Plan], chosen: Callable[..., Params], tmp_path: Path
) -> Callable[..., Any]:
    """The trainer after a run to the end."""
    from lockstep.training import trainers

    def run(
        folder: str = "run", killed_at: int = 0, asked_at: int = 0, seed: int = 7, **changes: Any
    ) -> Any:
        """`killed_at` a step, training ends in an exception, checkpoints of each step behind it;
        `asked_at` one whose evaluation a signal meets, it saves its only checkpoint."""
        planned, asked = plan(seed, **changes), interruption.Interruption()
        (tmp_path / folder).mkdir(exist_ok=True)
        checkpoints = Run(tmp_path / folder, 0 if asked_at else 1, 2)
        trainer = trainers.build(load(tiny, chosen(**changes), planned.head, "cpu"), planned)
        trainer.prepare_to_resume(checkpoints, asked, planned)
        trainer.add_callback(_AskForTheEnd(asked_at, asked))
        if killed_at:
            trainer.add_callback(_Kill(killed_at))
            with pytest.raises(KilledError):
                trainer.train_to_end()
        else:
            trainer.train_to_end()
        return trainer

    return run


@pytest.fixture
def launch() -> Callable[..., Launch]:
    """A `runtime.launch` of one process, with changes."""
    values = {
        "processes": 1, "machines": 1, "machine": 0, "address": "", "port": 29500,
        "strategy": "ddp", "zero_stage": 3, "offload": False,
    }  # fmt: skip
    return lambda **changes: Launch.model_validate(values | changes)
