"""A git repository whose branches have results that the real evaluate computed."""

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from dvc.repo import Repo
from ruamel.yaml import YAML

from lockstep import records
from lockstep.predictions import VARIANTS, Prediction
from lockstep.records import Record
from lockstep.review.__main__ import main
from stages import evaluate
from tests.conftest import REPOSITORY
from tests.stages.stage_outputs import CHANGES, write_json, write_outputs, write_variants

HOSTILE = (
    "@everyone <img src=x onerror=alert(1)> ![i](http://e.example/p) https://e.example | `code`"
)
"""Question of a record whose answer flips on two of the branches."""
GATE = {
    "suite": "intent", "metric": "accuracy", "variant": "quantized", "against": "previous",
    "direction": "at_least", "threshold": 0.0, "certainty": "not_refuted",
}  # fmt: skip
STAGES = {
    "prepare": {"cmd": "true", "deps": ["data/raw"], "outs": ["data/prepared"]},
    "train": {
        "cmd": "true",
        "deps": ["data/prepared/train.jsonl"],
        "params": ["train"],
        "outs": ["data/trained"],
    },
    "predict": {"cmd": "true", "outs": [f"data/predicted/{variant}" for variant in VARIANTS]},
}
TESTS = 60


def run_command(root: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    identity = {
        f"GIT_{role}_{field}": "a"
        for role in ("AUTHOR", "COMMITTER")
        for field in ("NAME", "EMAIL")
    }
    result = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False,
        env={
            **environment, **identity,
            "PYTHONPATH": str(REPOSITORY), "DVC_SITE_CACHE_DIR": str(root / ".git/site"),
        },
    )  # fmt: skip
    assert not check or result.returncode == 0, result.stderr
    return result


def review(root: Path, *arguments: str) -> Result:
    """Run `python -m lockstep.review` in this process."""
    with contextlib.chdir(root):
        return CliRunner().invoke(main, arguments)


def make_answers(wrong: Sequence[int]) -> dict[str, list[Prediction]]:
    """Return predictions: the tuned variants are wrong in these records of intent."""
    return {
        variant: [
            Prediction(
                id=f"{n:016x}", task=task, slices={"language": "en"}, prompt="",
                question=HOSTILE if not n else f"question {n}",
                reference="refund" if task == "intent" else f"Your order {n} is on its way.",
                answer_form="choice" if task == "intent" else "text",
                prediction=_answer(task, n, variant != "base" and n not in wrong),
                option_scores={"refund": 0.0, "cancel": 0.0} if task == "intent" else {},
                loss=0.5, tokens=4,
            )
            for n in range(TESTS)
            for task in ["reply" if n % 6 == 5 else "intent"]
        ]
        for variant in VARIANTS
    }  # fmt: skip


def _answer(task: str, number: int, is_right: bool) -> str:
    if task == "intent":
        return "refund" if is_right else "cancel"
    return f"Your order {number} is on its way." if is_right else "no"


def make_records(relabelled: int = 0, added: int = 0, removed: int = 0) -> list[Record]:
    """Return training records, of which the first are relabelled and the last are new."""
    return [
        Record(
            task="intent", source="a.csv", origin=f"a.csv:{n}", slices={"language": "en"},
            messages=[
                {"role": "user", "content": f"train {n}"},
                {"role": "assistant", "content": "cancel" if n < relabelled else "refund"},
            ],
        )
        for n in range(20 - removed)
    ] + [
        Record(
            task="intent", source="a.csv", origin=f"a.csv:{n}", slices={"language": "zh"},
            messages=[
                {"role": "user", "content": f"new {n}"},
                {"role": "assistant", "content": "refund"},
            ],
        )
        for n in range(added)
    ]  # fmt: skip


def write_results(root: Path, wrong: Sequence[int], rows: Sequence[Record], rate: float) -> None:
    """Write the outputs of all stages before evaluate, and run evaluate."""
    write_variants(root, make_answers(wrong))
    records.write(root / "data/prepared/train.jsonl", rows)
    card = json.loads((root / "data/prepared/card.json").read_text())
    languages = [row.slices["language"] for row in rows]
    card["splits"]["train"] |= {
        "records": len(rows), "tasks": {"intent": len(rows)},
        "slices": {"language": {name: languages.count(name) for name in sorted({*languages})}},
    }  # fmt: skip
    write_json(root / "data/prepared/card.json", card)
    (root / "data/raw/a.csv").write_text("".join(f"{r.question},{r.answer}\n" for r in rows))
    change_params(root, lambda values: values["train"].update(learning_rate=rate))
    write_json(root / "reports/timings/train.json", {"seconds": 100 * rate, "peak_memory_mib": 900})
    machine = {"cpu": "x86_64 Maker avx2", "gpu": ""}
    write_json(root / "reports/provenance/train.json", {"machine": machine, "result": str(rate)})
    with contextlib.chdir(root):
        evaluate.main.main(["data", "reports"], standalone_mode=False)


def change_params(root: Path, change: Any) -> None:
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load((root / "params.yaml").read_text("utf-8"))
    change(values)
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)


def commit(root: Path, message: str) -> None:
    with contextlib.chdir(root), contextlib.closing(Repo(".")) as repository:
        repository.commit(force=True)
    run_command(root, "git", "add", "-A")
    run_command(root, "git", "commit", "-qm", message)


def make_repository(root: Path) -> None:
    """Make a repository with the branches main, better, worse and same; each has one commit more.

    On main, 20 of the 50 answers of intent are wrong.
    """
    root.mkdir()
    chosen = {"evaluate.metrics": {"reply": ["rouge_l"]}, "evaluate.gates": [GATE]}
    slices = {"evaluate.slices": ["language"], "evaluate.summary_slices": []}
    write_outputs(root, {**CHANGES, **chosen, **slices, "human.suites": []})
    validation = root / "data/prepared/validation.jsonl"
    validation.write_text("")
    (root / "data/raw").mkdir()
    (root / "dvc.yaml").write_text(json.dumps({"stages": STAGES}))
    ignored = ("prepared", "trained", "predicted", "augmented", "merged", "quantized", "judged")
    (root / ".gitignore").write_text("".join(f"/data/{name}\n" for name in ignored))
    run_command(root, "git", "init", "-q", "-b", "main")
    Repo.init(str(root)).close()
    wrong = [n for n in range(TESTS) if n % 3 == 0]
    write_results(root, wrong, make_records(), rate=1.0)
    commit(root, "main")
    chance = random.Random(1).sample([n for n in range(TESTS) if n % 6 == 1], 2)
    branches: list[tuple[str, list[int], list[Record], float]] = [
        ("better", [n for n in wrong if n % 15 == 3], make_records(2, 3, 1), 2.0),
        ("worse", [*range(40)], make_records(), 3.0),
        ("same", [*wrong[3:], *chance], make_records(), 1.0),
    ]
    for name, wrong_answers, rows, rate in branches:
        run_command(root, "git", "checkout", "-q", "-b", name, "main")
        write_results(root, wrong_answers, rows, rate)
        commit(root, name)
