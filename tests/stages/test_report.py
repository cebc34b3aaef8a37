import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep.human.rating_items import code

REPOSITORY = Path(__file__).parents[2]
SCRIPT = "<script>alert(1)</script>"
OUTPUTS = [
    "details.json",
    "index.html",
    "metrics.json",
    "model-card.md",
    "plots/confusion.csv",
    "plots/loss.csv",
    "plots/validation_loss.csv",
    "plots/variants.csv",
]
# Each variant's answers to the records below.
RECORDS = [
    ("intent", "where is it?", "track", {"phrasing": "seen"}),
    ("intent", f"cancel {SCRIPT}", "cancel", {"phrasing": "unseen"}),
    ("intent", "取消订单", "cancel", {"phrasing": "seen"}),
    ("intent", "stop it", SCRIPT, {"phrasing": "unseen"}),
    ("slots", "to Porto", '{"city":"Porto"}', {}),
    ("reply", "hello", "Hello, how can I help?", {}),
]
ANSWERS = {
    "base": ["cancel", "track", "track", SCRIPT, "{", "the the\ufffd"],  # a character in pieces
    "merged": ["track", "cancel", "cancel", "track", '{"city": "Porto"}', "Hello, can I help?"],
    "quantized": ["track", "cancel", "track", "track", SCRIPT, "Hello, can I help?"],
}
FIT = {
    "base": [("train", "yes"), ("train", "no"), ("validation", "yes"), ("validation", "no")] * 5,
    "merged": [("train", "yes")] * 10 + [("validation", "yes")] * 4 + [("validation", "no")] * 6,
    "quantized": [],
}
"""Splits and answers of further records, whose expected answer is yes."""
SUITES = [
    {"task": "intent", "answer": "choice", "metrics": ["accuracy", "macro_f1"]},
    {"task": "slots", "answer": "json", "metrics": ["exact_match", "valid"]},
    {"task": "reply", "answer": "text", "metrics": ["bleu", "exact_match", "rouge_l"]},
]
GATE = {"suite": "intent", "metric": "accuracy", "direction": "at_least", "certainty": "figure"}
GATES = [
    {**GATE, "variant": "merged", "against": "nothing", "threshold": 0.7},
    {**GATE, "variant": "quantized", "against": "merged", "threshold": -0.2},
    {**GATE, "variant": "merged", "against": "previous", "threshold": 0.0},
]
INTENT_ACCURACY = {
    "base": (0.25, 0.0, 0.5),
    "merged": (0.75, 1.0, 0.5),
    "quantized": (0.5, 0.5, 0.5),
}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def evaluated(variant: str) -> dict[str, Any]:
    overall, seen, unseen = INTENT_ACCURACY[variant]
    confusion: dict[str, dict[str, int]] = {}
    for (_, _, want, _), have in zip(RECORDS[:4], ANSWERS[variant], strict=False):
        row = confusion.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    return {
        "intent": {
            "records": 4,
            "overall": {"accuracy": overall, "macro_f1": overall},
            "slices": {
                "phrasing": {
                    "seen": {"records": 2, "accuracy": seen, "macro_f1": seen},
                    "unseen": {"records": 2, "accuracy": unseen, "macro_f1": unseen},
                }
            },
            "confusion": confusion,
            "lm_eval": overall,
        },
        "slots": {
            "records": 1,
            "overall": {"exact_match": float(variant == "merged"), "valid": 1.0},
            "slices": {},
        },
        "reply": {
            "records": 1,
            "overall": {"bleu": 71.23456, "exact_match": 0.0, "rouge_l": 0.8},
            "slices": {},
        },
        "perplexity": {"base": 212.4, "merged": 1.62, "quantized": 1.6543219}[variant],
        "bits_per_byte": 0.25,
    }


def split(records: int) -> dict[str, Any]:
    tasks = {"intent": records - 2, "reply": 1, "slots": 1}
    return {"records": records, "tasks": tasks, "sources": {}, "slices": {}, "characters": {}}


def write_inputs(root: Path) -> None:
    """What the other stages leave, by hand: the same shapes, as small as can be."""
    values = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text("utf-8"))
    values["evaluate"] |= {"suites": SUITES, "slices": ["phrasing"], "gates": GATES}
    values["report"] = {"title": f"Model {SCRIPT}", "slices": ["phrasing"], "examples": 4}
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    prepared = {
        "rows": {"read": 30, "kept": 26, "rejected": 1, "duplicates": 3, "removed": 0},
        "rejected": {"unknown_label": 1},
        "removed": {"duplicate": 3},
        "cleaned": {"space": 2},
        "labels": {"intent": {"cancel": 8, "track": 6, SCRIPT: 1}},
        "unlearnt_labels": {"intent": {SCRIPT: 1}},
        "splits": {"train": split(16), "validation": split(4), "test": split(6)},
    }
    write_json(root / "data/prepared/card.json", prepared)
    augmented = {"parents": 16, "children": 5, "methods": {"deletion": {"kept": 5}}}
    write_json(root / "data/augmented/card.json", {**augmented, "train": split(21)})
    trained = {
        "objective": "sft",
        "strategy": "lora",
        "rows": 21,
        "rows_truncated": 0,
        "rows_dropped": 0,
        "tokens": 900,
        "answer_tokens": 200,
        "steps": 4,
        "trained_parameters": 100,
        "parameters": 3000,
        "loss": 0.5,
        "validation_loss": 0.75,
    }
    write_json(root / "data/trained/summary.json", trained)
    log = "step,epoch,loss,validation_loss,learning_rate,grad_norm\n2,1.0,1.5,,0.001,1.0\n"
    (root / "data/trained/log.csv").write_text(log + "4,2.0,0.5,0.75,0.0,1.0\n", encoding="utf-8")
    merge = {"prompts": 2, "largest_logit_difference": 1.5e-05}
    write_json(root / "data/merged/merge.json", merge)
    quantize = {
        "method": "nf4",
        "quantized_layers": 7,
        "bytes_before": 3_000_000,
        "bytes_after": 1_000_000,
        "perplexity_before": 1.5,
        "perplexity_after": 1.6,
    }
    write_json(root / "data/quantized/quantize.json", quantize)
    write_json(root / "data/judged/figures.json", {})
    (root / "data/human").mkdir()
    for variant, answers in ANSWERS.items():
        folder = root / "data/evaluated" / variant
        write_json(folder / "metrics.json", evaluated(variant))
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as stream:
            for i, ((task, question, want, slices), prediction) in enumerate(
                zip(RECORDS, answers, strict=True)
            ):
                line = {"id": f"{i:016x}", "task": task, "question": question, "reference": want}
                line |= {
                    "prompt": f"{i:016x}",
                    "answer_form": {"intent": "choice", "slots": "json", "reply": "text"}[task],
                    "prediction": prediction,
                    "score": float(prediction == want),
                    "slices": slices,
                    "loss": 0.5,
                    "tokens": 3,
                }
                stream.write(json.dumps(line) + "\n")
        with (folder / "fit.jsonl").open("w", encoding="utf-8") as stream:
            for i, (part, prediction) in enumerate(FIT[variant]):
                line = {"id": f"{i:016x}", "task": "intent", "question": "?", "reference": "yes"}
                line |= {"prompt": "", "prediction": prediction, "slices": {"split": part}}
                stream.write(json.dumps({**line, "loss": 0.5, "tokens": 3}) + "\n")


def report(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage as dvc.yaml does, but not under DVC."""
    arguments = (
        "data/prepared/card.json data/augmented/card.json data/trained data/merged/merge.json "
        "data/quantized/quantize.json data/evaluated data/judged/figures.json data/human reports"
    )
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    return subprocess.run(
        [sys.executable, "-m", "stages.report", *arguments.split()],
        cwd=root,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one good run."""
    root = tmp_path_factory.mktemp("made")
    write_inputs(root)
    (root / "reports/timings").mkdir(parents=True)
    (root / "reports/timings/train.json").write_text("{}")
    result = report(root)
    assert result.returncode == 0, result.stderr
    return root / "reports"


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_writes_its_own_files_and_leaves_the_timings_alone(made: Path) -> None:
    assert files(made) == sorted([*OUTPUTS, "timings/train.json"])


def test_metrics_are_few_finite_numbers_with_plain_keys(made: Path) -> None:
    values = json.loads((made / "metrics.json").read_text())

    def leaves(node: Any, path: str = "") -> list[tuple[str, Any]]:
        if not isinstance(node, dict):
            return [(path, node)]
        return [leaf for key, child in node.items() for leaf in leaves(child, f"{path}.{key}")]

    found = leaves(values)
    assert len(found) <= 45
    assert all(re.fullmatch(r"(\.[a-z0-9_]+)+", path) for path, _ in found)
    assert all(math.isfinite(value) for _, value in found)
    assert values["merged"]["intent"] == {
        "accuracy": 0.75,
        "accuracy_phrasing_seen": 1.0,
        "accuracy_phrasing_unseen": 0.5,
    }
    assert values["quantized"]["perplexity"] == {"overall": 1.6543}
    assert values["merged"]["reply"] == {"rouge_l": 0.8}
    assert values["quantize"] == {"bytes": 1_000_000, "ratio": 0.33333}
    assert values["data"]["train"] == 16
    assert values["data"]["augmented"] == 5


def test_details_keep_what_metrics_leave_out(made: Path) -> None:
    details = json.loads((made / "details.json").read_text())
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
    assert intent["weakest"] == {}, "no slice has enough records"


def test_gates_are_decided_by_the_figures(made: Path) -> None:
    text = (made / "index.html").read_text("utf-8")
    kept = text[text.index("<h2>Gates") :]
    kept = kept[: kept.index("</section>")]
    assert [kept.count(word) for word in ("✓ passed", "✗ failed", "make gates decides")] == [1] * 3
    assert "merged: intent accuracy at least 70.0%" in kept
    assert "75.0% (30.1% to 95.4%)" in kept
    failed = (
        "Gate failed: quantized: intent accuracy minus that of merged, at least −20.0 points; "
        "found −25.0 points"
    )
    assert failed in text[: text.index("<main>")]


def test_everything_that_data_or_models_say_is_escaped(made: Path) -> None:
    for name in ("index.html", "model-card.md"):
        assert "<script" not in (made / name).read_text("utf-8").lower()
    page = (made / "index.html").read_text("utf-8")
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;"
    for place in (
        "<title>Model ",
        "cancel ",
        "<dd>",
        "training record of intent: ",
        "the the\ufffd",
    ):
        assert place in page
    assert page.count(shown) >= 6  # title, heading, label, question, expected, got


def test_the_page_needs_no_network(made: Path) -> None:
    page = (made / "index.html").read_text("utf-8")
    assert not re.search(r"https?://|//[a-z]", page)
    assert not re.search(r"\b(src|href)\s*=|url\(|@import", page)


def test_the_verdict_says_what_changed(made: Path) -> None:
    sentence = (
        "Tuning lifts intent accuracy from 25.0% to 75.0% (which could be chance); "
        "4-bit costs 25 points (which could be chance) and saves 67% of the bytes."
    )
    assert sentence in (made / "index.html").read_text("utf-8")


def test_plots_are_tables_without_gaps(made: Path) -> None:
    assert (made / "plots/loss.csv").read_text() == "step,loss\n2,1.5\n4,0.5\n"
    assert (made / "plots/validation_loss.csv").read_text() == "step,validation_loss\n4,0.75\n"
    confusion = (made / "plots/confusion.csv").read_text().splitlines()
    assert confusion[0] == "actual,predicted"
    assert sorted(confusion[1:]) == sorted(
        [f"{SCRIPT},track", "cancel,cancel", "cancel,cancel", "track,track"]
    )
    variants = (made / "plots/variants.csv").read_text().splitlines()
    assert "intent accuracy merged,merged,intent,accuracy,0.75" in variants
    assert "reply bleu merged,merged,reply,bleu,0.71235" in variants


def test_two_folders_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    assert report(tmp_path).returncode == 0
    for name in OUTPUTS:
        assert (tmp_path / "reports" / name).read_bytes() == (made / name).read_bytes(), name


def not_a_number(root: Path) -> None:
    path = root / "data/evaluated/merged/metrics.json"
    values = json.loads(path.read_text())
    values["intent"]["overall"]["accuracy"] = math.nan
    write_json(path, values)


def no_quantized(root: Path) -> None:
    (root / "data/evaluated/quantized/metrics.json").unlink()


def diverged(root: Path) -> None:
    with (root / "data/trained/log.csv").open("a", encoding="utf-8") as log:
        log.write("6,3.0,inf,,0.0,1.0\n")


def other_records(root: Path) -> None:
    path = root / "data/evaluated/base/predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def asked_otherwise(root: Path) -> None:
    path = root / "data/evaluated/base/predictions.jsonl"
    path.write_text(path.read_text().replace('"choice"', '"written_label"'))


def twice(root: Path) -> None:
    path = root / "data/evaluated/quantized/predictions.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[0])


def no_number(root: Path) -> None:
    path = root / "data/evaluated/merged/predictions.jsonl"
    path.write_text(path.read_text().replace("0.5", '"high"', 1))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (
            asked_otherwise,
            "data/evaluated/base: task intent was answered by written_label, and params.yaml asks "
            "for choice; `dvc repro`",
        ),
        (twice, "data/evaluated/quantized: predictions.jsonl has a record twice; `dvc repro`"),
        (
            no_number,
            "data/evaluated/merged/predictions.jsonl: line 1: no prediction: loss: Input should be "
            "a valid number; `dvc repro` makes it",
        ),
        (not_a_number, "data/evaluated/merged/metrics.json: intent.overall.accuracy is nan"),
        (no_quantized, "data/evaluated/quantized/metrics.json: not found"),
        (diverged, "data/trained/log.csv:4: loss is inf"),
        (other_records, "data/evaluated/base: other test records than in merged"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    spoil: Callable[[Path], None], line: str, tmp_path: Path
) -> None:
    write_inputs(tmp_path)
    spoil(tmp_path)
    result = report(tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_what_a_judge_and_people_say_is_on_the_page(tmp_path: Path) -> None:
    """One record each, so that no interval is known."""
    write_inputs(tmp_path)
    opinion = {"records": 1, "unreadable": 0.0, "dimensions": {"fluency": {"mean": 4.0}}}
    won = {"win": 1.0, "tie": 0.0, "loss": 0.0, "interval": [0.2, 1.0], "p": 1.0}
    silent = {"records": 0, "dimensions": {}}
    judged = {
        "compared": {"merged_against_base": {**opinion, "dimensions": {"fluency": won}}},
        "scored": {"base": silent, "merged": opinion},
    }
    write_json(tmp_path / "data/judged/figures.json", {"reply": judged})
    answer = code(f"{5:016x}", ANSWERS["merged"][5])
    sheet = f"item,fluency,relevance,safety,factuality\n{answer},3,,,\n"
    (tmp_path / "data/human/anna.csv").write_text(sheet)
    result = report(tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "reports/index.html").read_text("utf-8")
    judge = page[page.index("What a judge says") : page.index("What people say")]
    assert "merged against base" in judge and "100.0%" in judge and "4.00" in judge
    assert "3.00" in page[page.index("What people say") :]
    assert "earlier model" not in page
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["judge"]["reply_merged_against_base_fluency_win"] == 1.0
    assert metrics["human"] == {"reply_merged_fluency": 3.0, "reply_quantized_fluency": 3.0}
    (tmp_path / "data/human/ben.csv").write_text(sheet.replace(answer, "a00"))
    assert report(tmp_path).returncode == 0
    assert "1 ratings are of an earlier model" in (tmp_path / "reports/index.html").read_text()


def test_what_it_knows_better_than_what_was_held_out_is_named(made: Path):
    page = (made / "index.html").read_text(encoding="utf-8")
    named = (
        "It does better on records that it learnt than on those held out: intent accuracy by 60.0"
    )
    assert named in page
    found = json.loads((made / "details.json").read_text())["fit"]
    accuracy = found["merged"]["intent"]["accuracy"]
    assert (accuracy["train"]["records"], accuracy["validation"]["records"]) == (10, 10)
    assert (accuracy["train"]["figure"], accuracy["validation"]["figure"]) == (1, 0.4)
    assert accuracy["gap"] == 0.6
    assert 0 < accuracy["gap_interval"][0] < 0.6 < accuracy["gap_interval"][1] < 1
    assert found["base"]["intent"]["accuracy"]["gap"] == 0
    assert found["quantized"] == {}
