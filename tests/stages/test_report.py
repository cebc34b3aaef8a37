"""The stage report writes the page and the model card from the output of evaluate."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from lockstep.human.rating_items import make_code
from tests.stages.stage_outputs import (
    ANSWERS,
    SCRIPT,
    list_files,
    make_prediction,
    run_evaluate,
    run_module,
    run_report,
    write_inputs,
    write_outputs,
    write_variants,
)

PAGES = ["index.html", "model-card.md", "report.md"]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one run of evaluate and report."""
    root = tmp_path_factory.mktemp("reported")
    write_inputs(root)
    assert run_evaluate(root).returncode == 0
    before = list_files(root / "reports")
    result = run_report(root)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("report: Tuning raises intent accuracy from 25.0% to 75.0%")
    assert list_files(root / "reports") == sorted([*before, *PAGES])
    return root / "reports"


@pytest.fixture(scope="module")
def page(reports: Path) -> str:
    return (reports / "index.html").read_text("utf-8")


def read_section(page: str, name: str) -> str:
    """Return the HTML of a section, without its end tag."""
    section = page[page.index(f'<section id="{name}"') :]
    return section[: section.index("</section>")]


def read_english(html: str) -> str:
    """Return HTML without its Chinese texts and without the marks of its English texts."""
    return re.sub(r'<span lang="zh">.*?</span>|<span lang="en">(.*?)</span>', r"\1", html)


def read_text(html: str) -> str:
    """Return the English text of HTML with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", read_english(html)).split())


def test_the_verdict_says_what_changed(page: str) -> None:
    sentence = (
        "Tuning raises intent accuracy from 25.0% to 75.0% (which could be chance); "
        "4-bit costs 25 points (which could be chance) and saves 67% of the bytes."
    )
    assert f"<h1>{sentence}</h1>" in read_english(page)
    chinese = "微调使 intent 准确率从 25.0% 升至 75.0%（可能出于偶然）"
    assert chinese in page[: page.index("<main")]
    assert "Do not ship 1 of 2 gates failed." in read_text(page)


def test_gates_are_shown_with_their_outcome(page: str) -> None:
    gates = read_english(read_section(page, "gates"))
    counts = [gates.count(word) for word in ("✓ passed", "✗ failed", "decided by make review")]
    assert counts == [1] * 3
    assert "merged: intent accuracy at least 70.0%" in gates
    assert "75.0% (30.1% to 95.4%)" in gates
    failure = (
        "Gate failed: quantized: intent accuracy minus that of merged, at least −20.0 points; "
        "measured −25.0 points"
    )
    assert failure in read_english(page[: page.index("<main")])


def test_the_model_card_has_results_gates_and_concerns(reports: Path) -> None:
    card = (reports / "model-card.md").read_text("utf-8")
    intervals = ("25.0% (4.6% – 69.9%)", "75.0% (30.1% – 95.4%)", "50.0% (15.0% – 85.0%)")
    assert f"| intent | accuracy | {' | '.join(intervals)} |" in card  # by Wilson, of 4 records
    likelihood = "| all test records | perplexity (lower is better) | 8.00 | 2.00 | 2.50 |"
    assert likelihood in strip_intervals(card)
    assert "- Passed: merged: intent accuracy at least 70.0%; measured 75.0%" in card
    assert card.count("- FAILED: ") == 1
    assert "previous commit" not in card, "only `make review` decides this gate"
    assert "- Intent has only 4 test records" in card
    assert "| refusal | 0 | 0 | 0 | 77 |" in card
    assert "| train.learning" not in card and "| learning_rate | 0.0015 |" in card


@pytest.mark.parametrize(
    ("base", "line"),
    [
        (
            {"source": "hub", "id": "Qwen/Qwen3-0.6B", "revision": "0123456789" * 4},
            "Tuned from Qwen/Qwen3-0.6B, revision `0123456789012345678901234567890123456789`.",
        ),
        ({"source": "path", "path": "/models/my_base/"}, r"Tuned from the local model my\_base."),
        ({"source": "starter"}, "Tuned from the tiny starter model in `data/starter`"),
    ],
)
def test_the_model_card_names_the_base(
    base: dict[str, str], line: str, reports: Path, tmp_path: Path
) -> None:
    changes = {f"base.{key}": value for key, value in base.items()}
    write_outputs(tmp_path, {**changes, "report.title": "A title"})
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/details.json").write_bytes((reports / "details.json").read_bytes())
    result = run_report(tmp_path)
    assert result.returncode == 0, result.stderr
    card = (tmp_path / "reports/model-card.md").read_text("utf-8")
    assert line in card
    assert "# A title" in card
    assert ("base_model:" in card) == (base["source"] == "hub")


def test_the_model_card_names_combined_adapters(reports: Path, tmp_path: Path) -> None:
    write_outputs(tmp_path, {})
    path = tmp_path / "data/merged/merge.json"
    adapters = [{"name": "trained", "weight": 1.0}, {"name": "team_a", "weight": -0.5}]
    summary = {"combination": "ties", "adapters": adapters}
    path.write_text(json.dumps(json.loads(path.read_text()) | summary), encoding="utf-8")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/details.json").write_bytes((reports / "details.json").read_bytes())
    assert run_report(tmp_path).returncode == 0
    card = (tmp_path / "reports/model-card.md").read_text("utf-8")
    assert (
        "was combined with others before merging (ties): trained with weight 1.0, "
        r"team\_a with weight -0.5."
    ) in card
    assert "combined with others" not in (reports / "model-card.md").read_text("utf-8")


def test_the_page_shows_every_measurement(page: str) -> None:
    results = read_text(read_section(page, "results"))
    assert "intent 4 test records" in results
    assert "accuracy 25.0% 4.6% – 69.9%" in results
    assert "tuning fixed 3 answers and broke 1; quantization fixed 0 answers and broke 1" in results
    slices = read_text(read_section(page, "slices"))
    assert "phrasing seen 2 0.0% 100.0% 50.0%" in slices
    robustness = read_text(read_section(page, "comparisons"))
    assert "case 2 records 100.0% 50.0% 100.0%" in re.sub(r" [\d.]+% – [\d.]+%", "", robustness)
    assert robustness.index("overall 2 records") < robustness.index("case 2 records")
    assert "own acc 0.2500 0.7500 0.5000" in robustness
    confusions = read_text(read_section(page, "confusions"))
    assert "1 of 1:" in confusions and "predicted as track" in confusions
    data = read_text(read_section(page, "data"))
    assert "all tasks 16 21 4 6 intent 14 19 2 4 reply 1 1 1 1 slots 1 1 1 1" in data
    assert "refusal 0 0 0 77" in data, "tasks that only the test split has"


def test_better_results_on_training_records_are_a_concern(page: str) -> None:
    sentence = (
        "The model does better on training records than on validation records: "
        "intent accuracy by 60.0 points."
    )
    assert sentence in read_english(page[: page.index("<main")])
    gaps = read_text(read_section(page, "comparisons"))
    assert "intent 10 train, 10 validation, 4 test accuracy 100.0%" in gaps
    assert "+60.0 points" in gaps and "base 0.0 points" in gaps


def test_a_warning_of_prepare_is_a_concern(reports: Path, page: str) -> None:
    sentence = "The test split differs from training in the labels of intent: "
    assert f"<li>{sentence}" in page[: page.index("<main")]
    assert f"- {sentence}" in (reports / "model-card.md").read_text("utf-8")


def test_all_text_from_data_and_models_is_escaped(reports: Path, page: str) -> None:
    assert "<script" not in (reports / "model-card.md").read_text("utf-8").lower()
    assert page.lower().count("<script") == 1, "the page has its own script alone"
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;"
    for context in (
        "<title>Model ",
        "cancel ",
        '<p dir="auto">',
        "training record of intent: ",
        "in the labels of intent: ",
        "the the\ufffd",
    ):
        assert context in page
    assert page.count(shown) >= 6  # title, heading, label, question, reference, prediction


def test_the_page_needs_no_network(page: str) -> None:
    assert not re.search(r"https?://|//[a-z]", page)
    assert not re.search(r"\b(src\s*=|href\s*=(?!\"#)|url\((?!#)|@import|fetch\()", page)


def test_two_folders_give_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    (tmp_path / "reports").mkdir()
    details = (reports / "details.json").read_bytes()
    (tmp_path / "reports/details.json").write_bytes(details)
    assert run_report(tmp_path).returncode == 0
    for name in PAGES:
        assert (tmp_path / "reports" / name).read_bytes() == (reports / name).read_bytes(), name


def test_judge_and_human_ratings_are_on_the_page(tmp_path: Path) -> None:
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
    (tmp_path / "data/human/ben.csv").write_text(sheet.replace(item, "a00"))
    result = run_evaluate(tmp_path)
    assert result.returncode == 0, result.stderr
    assert run_report(tmp_path).returncode == 0
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["judge"]["reply_merged_against_base_fluency_win"] == 1.0
    assert metrics["judge"]["reply_merged_fluency"] == 4.0
    assert metrics["human"] == {"reply_merged_fluency": 3.0, "reply_quantized_fluency": 3.0}
    page = (tmp_path / "reports/index.html").read_text("utf-8")
    judge = read_section(page, "ratings")
    assert "merged against base" in judge and "100.0%" in judge and "4.00" in judge
    assert "3.00" in judge[judge.index("Human ratings") :]
    assert "1 ratings belong to answers of an earlier model" in judge
    (tmp_path / "data/human/ben.csv").unlink()
    assert run_evaluate(tmp_path).returncode == 0
    assert run_report(tmp_path).returncode == 0
    assert "earlier model" not in (tmp_path / "reports/index.html").read_text("utf-8")


def test_the_report_for_terminals_has_the_same_sections(reports: Path) -> None:
    text = (reports / "report.md").read_text("utf-8")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "Gates", "Results", "What to try next", "Intervals", "Comparisons", "Slices", "Data",
        "Examples", "Lineage",
    ]  # fmt: skip
    assert "Tuning raises intent accuracy from 25.0% to 75.0%" in text
    assert "- Passed: merged: intent accuracy at least 70.0%; measured 75.0%" in text
    assert "- FAILED: quantized: intent accuracy minus that of merged" in text
    assert re.search(r"\| intent +\| accuracy +\| +25.0% +\| +75.0% ≈ \| +50.0% ≈ \|", text)
    assert re.search(r"\| intent +\| accuracy +\| [^|]*4.6% – 69.9% \|", text), "Wilson's interval"
    assert re.search(r"intent +\| phrasing seen +\| +2 \|", text)
    assert "Of 30 rows read, 26 were kept, 3 were duplicates, 0 were removed" in text
    assert f"`cancel {SCRIPT}`" in text, "code shows it literally"
    assert SCRIPT not in re.sub("`[^`\n]*`", "", text)
    assert "train: sft, lora, 4 steps, 100 of 3,000 parameters; validation loss 0.750" in text


def strip_intervals(card: str) -> str:
    """Return a model card without the intervals in the cells of its results."""
    return re.sub(r" \([^()|]* – [^()|]*\) \|", " |", card)


def show_summary(root: Path) -> str:
    """Run evaluate, report and the terminal summary; return what the summary prints."""
    for run in (run_evaluate, run_report):
        result = run(root)
        assert result.returncode == 0, result.stderr
    result = run_module(root, "lockstep.review.terminal_summary", "reports")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_results_are_shown_if_the_main_metric_is_undefined_for_the_base(tmp_path: Path) -> None:
    """The base answers with no finite number, so its mean absolute error is undefined."""
    references = ["1", "2.5", "4", "-3"]
    answers = {
        "base": ["one", "", "four!", "nan"],
        "merged": ["1", "3", "many", "-2.5"],
        "quantized": ["2", "3", "1e1", "-2"],
    }
    write_outputs(tmp_path, {})
    rows = {
        variant: [
            make_prediction(
                number, "price", answer, reference=reference, answer_form="written_number",
                slices={"language": "en" if number else "zh"},
            )
            for number, (answer, reference) in enumerate(zip(written, references, strict=True))
        ]
        for variant, written in answers.items()
    }  # fmt: skip
    write_variants(tmp_path, rows)
    summary = show_summary(tmp_path)
    assert re.search(r"price +\| mean absolute error ↓ \| +\| +0.333 +\| +2.12 . \|", summary)
    details = json.loads((tmp_path / "reports/details.json").read_text())
    assert details["base"]["price"]["overall"] == {"valid": 0.0}
    for variant, places in (("merged", [0, 1, 3]), ("quantized", [0, 1, 2, 3])):
        expected = [float(references[context]) for context in places]
        predicted = [float(answers[variant][context]) for context in places]
        assert details[variant]["price"]["overall"] == {
            "mean_absolute_error": pytest.approx(mean_absolute_error(expected, predicted)),
            "r2": pytest.approx(r2_score(expected, predicted)),
            "valid": len(places) / 4,
        }
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert "mean_absolute_error" in metrics["merged"]["price"]
    assert "mean_absolute_error" not in metrics["base"].get("price", {})
    page = (tmp_path / "reports/index.html").read_text("utf-8")
    headline = "<h1>Tuning brings price mean absolute error to 0.333; 4-bit costs 1.79 and"
    assert headline in read_english(page)
    results = read_text(read_section(page, "results"))
    assert "price 4 test records mean absolute error lower is better 0.333" in results
    slices = read_text(read_section(page, "slices"))
    assert "language en 3 0.500 2.50" in slices
    card = (tmp_path / "reports/model-card.md").read_text("utf-8")
    assert "| price | mean absolute error |  | 0.333 | 2.12 |" in strip_intervals(card)


def test_plain_text_has_no_suite_but_perplexity(tmp_path: Path) -> None:
    write_outputs(tmp_path, {})
    losses = {"base": 4.0, "merged": 1.0, "quantized": 2.0}
    rows = {
        variant: [make_prediction(number, "books", "", loss=loss, tokens=2) for number in range(3)]
        for variant, loss in losses.items()
    }
    write_variants(tmp_path, rows)
    summary = show_summary(tmp_path)
    e_squared, root_of_e, e = r"7.39 +\|", r"1.65 . +\|", r"2.72 . +\|"
    assert re.search(rf"perplexity ↓ +\| +{e_squared} +{root_of_e} +{e}", summary)
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["merged"] == {"perplexity": {"overall": pytest.approx(math.exp(0.5), rel=1e-4)}}
    page = (tmp_path / "reports/index.html").read_text("utf-8")
    headline = "<h1>Tuning lowers perplexity from 7.39 to 1.65 (which could be chance); 4-bit"
    assert headline in read_english(page)
    assert "All test records" in page
    assert "Answer by answer" not in page
    for section in ("slices", "examples", "confusions", "probabilities"):
        assert f'id="{section}"' not in page
    card = (tmp_path / "reports/model-card.md").read_text("utf-8")
    likelihood = "| all test records | perplexity (lower is better) | 7.39 | 1.65 | 2.72 |"
    assert likelihood in strip_intervals(card)


def remove_details(root: Path) -> None:
    (root / "reports/details.json").unlink()


def damage_details(root: Path) -> None:
    path = root / "reports/details.json"
    path.write_text(path.read_text()[:-10])


def remove_summary(root: Path) -> None:
    (root / "data/merged/merge.json").unlink()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (remove_details, "Invalid value for 'DETAILS': File 'reports/details.json' does not exis"),
        (damage_details, "reports/details.json: not JSON: "),
        (remove_summary, "data/merged/merge.json: not found; run `dvc repro`"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    damage: Callable[[Path], None], line: str, reports: Path, tmp_path: Path
) -> None:
    write_inputs(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/details.json").write_bytes((reports / "details.json").read_bytes())
    damage(tmp_path)
    result = run_report(tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert not {*list_files(tmp_path / "reports")} & {*PAGES}
