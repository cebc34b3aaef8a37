"""The stage evaluate computes all metrics, checked on predictions written by hand."""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep import records
from lockstep.human.rating_items import make_code
from lockstep.predictions import Prediction
from lockstep.records import Record
from tests.stages.stage_outputs import (
    ANSWERS,
    CHANGES,
    SCRIPT,
    list_files,
    make_predictions,
    run_evaluate,
    run_report,
    write_inputs,
    write_json,
    write_outputs,
    write_variants,
)

OUTPUTS = [
    "details.json",
    "metrics.json",
    "plots/confusion.csv",
    "plots/loss.csv",
    "plots/validation_loss.csv",
    "plots/variants.csv",
    "scores.jsonl",
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one run."""
    root = tmp_path_factory.mktemp("evaluated")
    write_inputs(root)
    (root / "reports/timings").mkdir(parents=True)
    (root / "reports/timings/train.json").write_text("{}")
    result = run_evaluate(root)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "evaluate: 3 suites, 1 gates failed\n"
    return root / "reports"


@pytest.fixture(scope="module")
def details(reports: Path) -> Any:
    return json.loads((reports / "details.json").read_text(encoding="utf-8"))


def test_evaluate_writes_its_own_files_and_does_not_touch_the_timings(reports: Path) -> None:
    assert list_files(reports) == sorted([*OUTPUTS, "timings/train.json"])


def test_metrics_are_few_finite_numbers_with_plain_keys(reports: Path) -> None:
    values = json.loads((reports / "metrics.json").read_text())

    def list_leaves(node: Any, path: str = "") -> list[tuple[str, Any]]:
        if not isinstance(node, dict):
            return [(path, node)]
        return [leaf for key, child in node.items() for leaf in list_leaves(child, f"{path}.{key}")]

    leaves = list_leaves(values)
    assert len(leaves) <= 45
    assert all(re.fullmatch(r"(\.[a-z0-9_]+)+", path) for path, _ in leaves)
    assert all(math.isfinite(value) for _, value in leaves)
    assert values["merged"]["intent"] == {
        "accuracy": 0.75,
        "accuracy_phrasing_seen": 1.0,
        "accuracy_phrasing_unseen": 0.5,
    }
    assert values["base"]["perplexity"] == {"overall": 8.0}
    assert values["merged"]["reply"] == {"rouge_l": 0.88889}  # recall 4 of 5, precision 4 of 4
    assert values["quantize"] == {"bytes": 1_000_000, "ratio": 0.33333}
    assert values["data"]["train"] == 16
    assert values["data"]["augmented"] == 5
    assert "judge" not in values and "human" not in values


def test_details_contain_the_results_that_metrics_json_omits(details: Any) -> None:
    intent = details["merged"]["intent"]
    assert intent["confusion"][SCRIPT] == {"track": 1}
    assert intent["classes"]["cancel"]["recall"] == 1.0
    assert intent["intervals"]["accuracy"][0] < 0.75 < intent["intervals"]["accuracy"][1]
    assert intent["overall"]["lm_eval_accuracy"] == 0.75
    assert details["changes"]["intent"]["tuning"] == {"better": 3, "worse": 1}
    tuning = details["differences"]["tuning"]["intent"]["accuracy"]
    assert (tuning["records"], tuning["difference"]) == (4, 0.5)
    assert tuning["p"] == 0.625  # 2 × P(X ≤ 1), X ~ B(4, ½)
    assert tuning["p_adjusted"] == 1.0
    seen = intent["slices"]["phrasing"]["seen"]["intervals"]["accuracy"]
    assert seen == [0.34238, 1.0]  # Wilson, 2 of 2
    assert list(intent["slices"]) == ["phrasing"]
    assert intent["weakest"] == {}, "no slice has enough records"
    assert details["lm_eval"]["quantized"] == {"own": {"acc": 0.5, "acc_stderr": 0.1}}


def test_robustness_compares_perturbed_answers_with_the_originals(details: Any) -> None:
    values = {
        variant: details[variant]["intent"]["robustness"]["case"]["agreement"]
        for variant in ("base", "merged", "quantized")
    }
    assert values == {"base": 1.0, "merged": 0.5, "quantized": 1.0}
    assert "robustness" not in details["merged"]["reply"]


def test_gates_are_decided_by_the_metrics(details: Any) -> None:
    level, difference, previous = details["gates"]
    assert (level["decided"], level["passed"], level["value"]) == (True, True, 0.75)
    assert level["interval"] == [0.30064, 0.95441]  # Wilson, 3 of 4
    assert (difference["passed"], difference["value"]) == (False, -0.25)
    assert previous == {"gate": previous["gate"], "decided": False}, (
        "only `make review` decides this gate"
    )


def test_the_gap_between_splits_is_measured_for_each_variant(details: Any) -> None:
    gaps = details["split_gaps"]
    accuracy = gaps["merged"]["intent"]["accuracy"]
    assert (accuracy["train"]["records"], accuracy["validation"]["records"]) == (10, 10)
    assert (accuracy["train"]["metric"], accuracy["validation"]["metric"]) == (1, 0.4)
    assert accuracy["gap"] == 0.6
    assert 0 < accuracy["gap_interval"][0] < 0.6 < accuracy["gap_interval"][1] < 1
    assert gaps["base"]["intent"]["accuracy"]["gap"] == 0
    assert gaps["quantized"] == {}


def test_examples_have_the_answers_of_all_variants(details: Any) -> None:
    examples = details["examples"]["intent"]
    assert len(examples) == 4
    outcomes = {example["question"]: example["outcome"] for example in examples}
    assert outcomes["stop it"] == "broken by tuning"
    assert outcomes["取消订单"] == "broken by quantization"
    assert outcomes["where is it?"] == "fixed by tuning"
    (reply,) = details["examples"]["reply"]
    assert reply["predictions"] == {name: answers[5] for name, answers in ANSWERS.items()}


def test_plots_are_tables_without_gaps(reports: Path) -> None:
    assert (reports / "plots/loss.csv").read_text() == "step,loss\n2,1.5\n4,0.5\n"
    assert (reports / "plots/validation_loss.csv").read_text() == "step,validation_loss\n4,0.75\n"
    confusion = (reports / "plots/confusion.csv").read_text().splitlines()
    assert confusion[0] == "actual,predicted"
    assert sorted(confusion[1:]) == sorted(
        [f"{SCRIPT},track", "cancel,cancel", "cancel,cancel", "track,track"]
    )
    variants = (reports / "plots/variants.csv").read_text().splitlines()
    assert "intent: accuracy,merged,intent,accuracy,0.75" in variants
    assert "reply: ROUGE-L,merged,reply,rouge_l,0.88889" in variants


def test_two_folders_give_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    assert run_evaluate(tmp_path).returncode == 0
    for name in OUTPUTS:
        assert (tmp_path / "reports" / name).read_bytes() == (reports / name).read_bytes(), name


def test_params_choose_metrics_slices_and_examples(tmp_path: Path) -> None:
    """Without `metrics` and `slices`, a suite has the metrics of its form and every slice."""
    schema = {"type": "object", "required": ["city"]}
    changes = {
        **CHANGES, "evaluate.metrics": {}, "evaluate.slices": [], "evaluate.gates": [],
        "evaluate.json_schemas": {"slots": schema}, "evaluate.summary_slices": ["season"],
        "evaluate.examples": 0,
    }  # fmt: skip
    write_outputs(tmp_path, changes)
    scores = {"track": -1.0, "cancel": -2.0, SCRIPT: -3.0}
    by_variant = {
        variant: [
            replace(row, option_scores=scores) if row.task == "intent" else row
            for row in make_predictions(variant)
        ]
        for variant in ANSWERS
    }
    write_variants(tmp_path, by_variant)
    result = run_evaluate(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "evaluate: evaluate.summary_slices: no test record has season\n" in result.stderr
    details = json.loads((tmp_path / "reports/details.json").read_text())
    merged = details["merged"]
    assert {task: sorted(merged[task]["overall"]) for task in ("intent", "slots", "reply")} == {
        "intent": ["accuracy", "calibration_error", "macro_f1", "roc_auc"],
        "slots": ["exact_match", "field_f1", "schema_valid", "valid"],
        "reply": ["bleu", "chrf", "exact_match", "meteor", "rouge_l"],
    }
    assert merged["slots"]["overall"]["schema_valid"] == 1
    assert details["base"]["slots"]["overall"]["schema_valid"] == 0
    assert list(merged["intent"]["slices"]) == ["phrasing", "source"]
    assert details["examples"] == {"intent": [], "reply": [], "slots": []}
    assert details["gates"] == []
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["merged"]["intent"] == {"accuracy": 0.75}


def write_infinite_loss(root: Path) -> None:
    path = root / "data/trained/summary.json"
    write_json(path, {**json.loads(path.read_text()), "loss": math.nan})


def remove_quantized(root: Path) -> None:
    (root / "data/predicted/quantized/predictions.jsonl").unlink()


def remove_lm_eval(root: Path) -> None:
    (root / "data/predicted/merged/lm_eval.json").unlink()


def remove_judgements(root: Path) -> None:
    (root / "data/judged/judgements.jsonl").unlink()


def append_infinite_loss(root: Path) -> None:
    with (root / "data/trained/log.csv").open("a", encoding="utf-8") as log:
        log.write("6,3.0,inf,,0.0,1.0\n")


def remove_a_record(root: Path) -> None:
    path = root / "data/predicted/base/predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def change_answer_form(root: Path) -> None:
    path = root / "data/predicted/base/predictions.jsonl"
    path.write_text(path.read_text().replace('"choice"', '"written_label"'))


def repeat_a_record(root: Path) -> None:
    path = root / "data/predicted/quantized/predictions.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[0])


def replace_loss_by_text(root: Path) -> None:
    path = root / "data/predicted/merged/predictions.jsonl"
    text = path.read_text()
    (loss,) = {json.loads(line)["loss"] for line in text.splitlines()}
    path.write_text(text.replace(str(loss), '"high"', 1))


def name_an_unsuitable_metric(root: Path) -> None:
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("bleu", "roc_auc"))


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (
            change_answer_form,
            "data/predicted/base: task intent has written_label answers, but choice answers in "
            "merged; run `dvc repro`",
        ),
        (
            repeat_a_record,
            "data/predicted/quantized: predictions.jsonl has a record twice; run `dvc repro`",
        ),
        (
            replace_loss_by_text,
            "data/predicted/merged/predictions.jsonl: line 1: not a prediction: loss: Input should "
            "be a valid number; run `dvc repro`",
        ),
        (write_infinite_loss, "data/trained/summary.json: loss is nan"),
        (remove_quantized, "data/predicted/quantized/predictions.jsonl: not found; run `dvc repr"),
        (remove_lm_eval, "data/predicted/merged/lm_eval.json: not found; run `dvc repro`"),
        (remove_judgements, "data/judged/judgements.jsonl: not found; run `dvc repro`"),
        (append_infinite_loss, "data/trained/log.csv:4: loss is inf"),
        (remove_a_record, "data/predicted/base: the test records differ from those of merged"),
        (
            name_an_unsuitable_metric,
            "params.yaml: evaluate.metrics: reply: roc_auc is no metric of text answers; known: ",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    damage: Callable[[Path], None], line: str, tmp_path: Path
) -> None:
    write_inputs(tmp_path)
    damage(tmp_path)
    result = run_evaluate(tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_judgements_and_ratings_become_metrics(tmp_path: Path) -> None:
    """Each suite has a single record, so no mean has an interval."""
    write_inputs(tmp_path)
    identifier = f"{5:016x}"
    judgements: list[dict[str, Any]] = [
        {"shown": ["merged", "base"], "verdicts": {"fluency": "merged"}},
        {"shown": ["base", "merged"], "verdicts": {"fluency": "merged"}},
        {"shown": ["merged"], "verdicts": {"fluency": 4}},
    ]
    lines = [
        json.dumps({"id": identifier, "task": "reply", "reply": "…", **judgement}) + "\n"
        for judgement in judgements
    ]
    (tmp_path / "data/judged/judgements.jsonl").write_text("".join(lines), encoding="utf-8")
    item = make_code(identifier, ANSWERS["merged"][5])
    sheet = f"item,fluency,relevance,safety,factuality\n{item},3,,,\n"
    (tmp_path / "data/human/anna.csv").write_text(sheet)
    result = run_evaluate(tmp_path)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["judge"]["reply_merged_against_base_fluency_win"] == 1.0
    assert metrics["judge"]["reply_merged_fluency"] == 4.0
    assert metrics["human"] == {"reply_merged_fluency": 3.0, "reply_quantized_fluency": 3.0}
    details = json.loads((tmp_path / "reports/details.json").read_text())
    compared = details["judge"]["reply"]["compared"]["merged_against_base"]
    assert compared["dimensions"]["fluency"]["win"] == 1.0
    assert "outdated" not in details["human"]
    (tmp_path / "data/human/ben.csv").write_text(sheet.replace(item, "a00"))
    assert run_evaluate(tmp_path).returncode == 0
    details = json.loads((tmp_path / "reports/details.json").read_text())
    assert details["human"]["outdated"] == 1


def write_records(path: Path, rows: list[Prediction], answers: list[str]) -> None:
    """Write a record for each prediction, with the question as its prompt."""
    records.write(
        path,
        [
            Record(
                messages=[
                    {"role": "user", "content": row.question},
                    {"role": "assistant", "content": answer},
                ],
                task=row.task, source="", origin="",
            )
            for row, answer in zip(rows, answers, strict=True)
        ],
    )  # fmt: skip


def test_leaks_domains_and_few_shot_suites_are_measured(tmp_path: Path) -> None:
    """The tuned model repeats a training record, and its few-shot suite is worse than the suite."""
    changes = {
        **CHANGES, "evaluate.domains": {"slice": "phrasing", "out": ["unseen"]},
        "evaluate.leaks": {"words": 4},
    }  # fmt: skip
    write_outputs(tmp_path, changes)
    by_variant = {}
    for variant in ANSWERS:
        rows = make_predictions(variant)
        examples = [
            replace(row, id=f"few{row.id}", task="intent-2-shot", loss=None,
                    slices={**row.slices, "zero_shot": row.id})
            for row in rows[:4]
        ]  # fmt: skip
        by_variant[variant] = [*rows, *examples]
    write_variants(tmp_path, by_variant)
    merged = by_variant["merged"][:6]
    write_records(
        tmp_path / "data/prepared/train.jsonl", merged, ["Hello, can I help you?", *"abcde"]
    )
    result = run_evaluate(tmp_path)
    assert result.returncode == 0, result.stderr
    details = json.loads((tmp_path / "reports/details.json").read_text())
    leaks = details["leaks"]["reply"]["training_text"]["variants"]
    assert [leaks[variant]["leaks"] for variant in ANSWERS] == [0, 1, 1]
    gap = details["domains"]["merged"]["intent"]
    assert (gap["in_domain"]["value"], gap["out_of_domain"]["value"]) == (1.0, 0.5)
    few_shot = details["few_shot"]["intent-2-shot"]
    assert (few_shot["task"], few_shot["metric"], few_shot["difference"]) == (
        "intent", "accuracy", 0.5,
    )  # fmt: skip
    assert details["merged"]["intent-2-shot"]["overall"].keys() == {"accuracy", "macro_f1"}
    assert "zero_shot" not in details["merged"]["intent-2-shot"]["slices"]
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["leaks"]["merged_training_text"] == 0.5  # of the answers to slots and reply
    assert metrics["merged"]["intent_2_shot"]["accuracy"] == 0.75
    result = run_report(tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "reports/index.html").read_text()
    headings = ["Few-shot baseline", "In and out of the domain", "Leaks"]
    assert all(f'<h3><span lang="en">{heading}</span>' in page for heading in headings)
    assert '<h3><span lang="en">Entities</span>' not in page
    card = (tmp_path / "reports/model-card.md").read_text()
    assert "- Intent-2-shot: with examples in the prompt the base reaches 25.0% accuracy" in card


def test_an_unknown_slice_of_domains_is_a_note(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    write_params = {**CHANGES, "evaluate.domains": {"slice": "season", "out": ["winter"]}}
    shutil.rmtree(tmp_path / "data/judged")
    shutil.rmtree(tmp_path / "data/human")
    write_outputs(tmp_path, write_params)
    result = run_evaluate(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "evaluate: evaluate.domains: no test record has season\n" in result.stderr
    assert json.loads((tmp_path / "reports/details.json").read_text())["domains"]["merged"] == {}
