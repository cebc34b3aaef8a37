import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages import records
from stages.records import Record

ARGUMENTS = ("evaluate", "base", "prepared/test.jsonl", "prepared/labels.json", "evaluated/base")


@pytest.mark.slow
def test_scores_every_suite_and_keeps_every_answer(
    workplace: Path, stage: Callable[..., Any], corpus: list[Record]
):
    other = [replace(corpus[0], task="other")]
    records.write(workplace / "prepared/test.jsonl", [*corpus, *other])
    run = stage(*ARGUMENTS, changes={"evaluate.slices": ["language"], "report.slices": []})
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1].startswith("evaluate: base: perplexity ")
    out = workplace / "evaluated/base"
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.jsonl"]

    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [row.id for row in [*corpus, *other]]
    assert lines[-1]["got"] is None is lines[-1]["score"]
    assert all(0 <= line["score"] <= 1 for line in lines[:-1])
    intents = [line for line in lines if line["task"] == "intent"]
    assert {line["got"] for line in intents} <= {"cancel_order", "track", "refund"}
    assert all(line["loss"] > 0 and line["tokens"] > 0 for line in lines)

    figures = json.loads((out / "metrics.json").read_text())
    assert sorted(figures) == ["intent", "perplexity", "reply", "slots", "unscored"]
    right = [line["got"] == line["expected"] for line in intents]
    assert right == [line["score"] for line in intents]
    assert figures["intent"]["overall"]["accuracy"] == sum(right) / 4
    assert figures["intent"]["lm_eval"] == pytest.approx(sum(right[:3]) / 3)
    assert sorted(figures["reply"]["overall"]) == ["bleu", "exact_match", "rouge_l"]
    assert sorted(figures["slots"]["overall"]) == ["exact_match", "valid"]
    languages = figures["slots"]["slices"]["language"]
    assert {name: part["records"] for name, part in languages.items()} == {"en": 2, "zh": 2}


def test_a_suite_without_records_is_refused(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    path = workplace / "prepared/test.jsonl"
    records.write(path, [row for row in records.read(path) if row.task != "slots"])
    run = stage(*ARGUMENTS)
    refused(
        run,
        workplace / "evaluated",
        "evaluate.suites: no test record has task slots; the tasks are intent, reply",
    )


def test_a_choice_without_labels_is_refused(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    run = stage(*ARGUMENTS, changes={"evaluate.suites": [{"task": "reply", "answer": "choice"}]})
    refused(run, workplace / "evaluated", "task reply has no labels to choose from")
