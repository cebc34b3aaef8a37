"""Run the stages on the published folder of a family and check what they give."""

import contextlib
import importlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from lockstep import outputs, params, records
from lockstep.errors import UserError
from lockstep.records import Record
from lockstep.verify.model_families import exactness
from lockstep.verify.model_families.family import Family
from lockstep.verify.model_families.published_folder import write_folder

REPOSITORY = Path(__file__).parents[3]

Status = Literal["ok", "refused", "differs", "crashes", "–"]
"""Status of a stage or check. refused: a stage ended with an error message for its user; differs: a
result is not that of the reference; crashes: a traceback; –: not run, since it needs a result that
is missing."""

LABELS = ["cancel", "refund", "track"]
WORDS = {"cancel": "Please cancel order", "refund": "Refund invoice", "track": "Where is parcel"}
REPLIES = {"cancel": "It is cancelled.", "refund": "退款 is sent.", "track": "It is on its way."}


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of one stage or check."""

    status: Status
    reason: str = ""
    """Why it is not ok, in one line."""


FamilyResult = dict[str, Cell]
"""Column -> cell: the row of a family in the table."""


def list_failures(result: FamilyResult) -> dict[str, str]:
    """Return status and reason of each stage and check that was run and is not ok."""
    return {
        column: f"{cell.status}: {cell.reason}"
        for column, cell in result.items()
        if cell.status not in ("ok", "–")
    }


def run_family(family: Family, workspace: Path) -> FamilyResult:
    """Write the folder of a family into a workspace, run all stages there and check the results.

    The stages run in this process, in the workspace as current folder.
    """
    write_folder(family, workspace / "published")
    rows = build_records(family.objective)
    _write_prepared(workspace, rows, family)
    with (workspace / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(build_params(family), stream)
    validation, labels = "prepared/validation.jsonl", "prepared/labels.json"
    result: FamilyResult = {}

    def attempt(column: str, needs: str, *steps: Callable[[], None]) -> None:
        is_possible = not needs or result[needs].status == "ok"
        result[column] = _run_steps(steps) if is_possible else Cell("–")

    def stage(name: str, *paths: str) -> Callable[[], None]:
        return lambda: _run_stage(name, paths)

    def check(function: Callable[..., None]) -> Callable[[], None]:
        return lambda: function(family, workspace, rows, LABELS)

    with contextlib.chdir(workspace), _without_dvc():
        attempt("base", "", stage("base", "tasks", "base"))
        attempt("sft", "base", stage("train", "base", "augmented", validation, labels, "trained"))
        attempt("merge", "sft", stage("merge", "base", "trained", validation, "adapters", "merged"))
        attempt(
            "nf4", "merge",
            stage("quantize", "merged", validation, "quantized"),
            check(exactness.check_quantized_weights),
        )  # fmt: skip
        attempt(
            "predict",
            "nf4",
            *(
                stage("predict", variant, "prepared", "tasks", f"predicted/{variant}")
                for variant in ("base", "merged", "quantized")
            ),
        )
        if family.objective == "translation":
            result["labels"] = Cell("–")  # the loss in `greedy` depends on all of them
        else:
            attempt("labels", "base", check(exactness.check_labels))
        attempt(
            "logits", "merge",
            check(exactness.check_base_logits), check(exactness.check_merged_logits),
        )  # fmt: skip
        attempt("greedy", "predict", check(exactness.check_answers))
    return result


def build_records(objective: str) -> list[Record]:
    """Return a few records that fit the objective: short answers, labels or plain texts."""
    rows = []
    for number in range(12):
        label = LABELS[number % 3]
        question = f"{WORDS[label]} {number}{'? 谢谢。' if number % 2 else ', please.'}"
        user, reply = {"role": "user", "content": question}, REPLIES[label]
        earlier = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
        messages, task = {
            "chat": ([*earlier, user] if number % 4 == 3 else [user], "intent"),
            "text": ([], "story"),
            "classification": ([user], "intent"),
            "translation": ([user], "reply"),
        }[objective]
        if objective == "chat" and number % 2:
            task = "reply"
        answer = {"intent": label, "reply": reply, "story": f"{question} {reply}"}[task]
        rows.append(
            Record(
                messages=[*messages, {"role": "assistant", "content": answer}],
                task=task,
                source="s.csv",
                origin=f"s.csv:{number + 1}",
                language="latin",
            )
        )
    return rows


def build_params(family: Family) -> dict[str, Any]:
    """Return params.yaml for a tiny model of the family."""
    values = params.parse(REPOSITORY / "params.yaml")
    changes: dict[str, dict[str, Any]] = {
        "base": {"source": "path", "path": "published"},
        "compute": {"threads": 1},
        "train": {
            "objective": {"classification": "classification"}.get(family.objective, "sft"),
            "adapter": {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"},
            "epochs": 15.0,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "max_length": 400,
            "log_steps": 1000,
            "sft": {"weighting": "fixed"},
        },
        "quantize": {"rows": 4},
        "predict": {
            "batch_size": 4,
            "max_length": 400,
            "max_new_tokens": 16,
            "split_records": 0,
            "robustness": {"records": 0},
            "retrieval": {"lengths": []},
        },
        "runtime": {"device": "cpu"},
    }
    for section in changes.keys() | family.params.keys():
        values[section] |= changes.get(section, {}) | family.params.get(section, {})
    return values


def _write_prepared(workspace: Path, rows: list[Record], family: Family) -> None:
    """Write the outputs of the stages `prepare` and `augment` that later stages read."""
    for folder in ("adapters", "augmented", "prepared", "tasks", "predicted"):
        (workspace / folder).mkdir()
    records.write(workspace / "augmented/train.jsonl", rows)
    for split in ("train", "validation", "test"):
        records.write(workspace / f"prepared/{split}.jsonl", rows)
    outputs.write_json(workspace / "prepared/labels.json", {"intent": LABELS})
    tasks = {record.task: 0 for record in rows}
    kinds = {"intent": "label", "reply": "text", "story": "plain"}
    for record in rows:
        tasks[record.task] += 1
    outputs.write_json(
        workspace / "prepared/tasks.json",
        {
            task: {
                "kind": kinds[task],
                "slices": [],
                "records": dict.fromkeys(("train", "validation", "test"), count),
            }
            for task, count in tasks.items()
        },
    )


def _run_stage(name: str, paths: tuple[str, ...]) -> None:
    """Run the command of a stage in this process."""
    from lockstep.models import lean_imports

    try:
        importlib.import_module(f"stages.{name}").main.main([*paths], standalone_mode=False)
    finally:
        lean_imports.restore_bitsandbytes()
        shutil.rmtree(".scratch", ignore_errors=True)


def _run_steps(steps: tuple[Callable[[], None], ...]) -> Cell:
    """Run steps, hide what they print, and return how they ended."""
    log = io.StringIO()
    try:
        with contextlib.redirect_stderr(log), contextlib.redirect_stdout(log):
            for step in steps:
                step()
    except UserError as error:
        return Cell("refused", " ".join(error.message.split()))
    except exactness.Difference as difference:
        return Cell("differs", str(difference))
    except Exception as error:  # a bug of any kind is a result of the table, not of this tool
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Cell("crashes", reason)
    return Cell("ok")


@contextlib.contextmanager
def _without_dvc() -> Iterator[None]:
    """Hide the variables by which a stage knows that DVC started it."""
    hidden = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("DVC_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
