"""The stage report describes a model that ships as a GGUF file."""

import json
from pathlib import Path

import pytest

from tests.stages.stage_outputs import CHANGES, run_evaluate, run_report, write_inputs, write_json
from tests.stages.test_report import read_english, read_section, read_text

SUMMARY = {
    "method": "gguf_q8_0",
    "quantized_share": 0.999,
    "runtime": "llama.cpp",
    "token_agreement": 0.995,
    "prompt_agreement": 1.0,
    "bytes_before": 13_451_728,
    "bytes_after": 3_743_136,
    "bits_per_weight": 8.91,
    "perplexity_before": 1.0548,
    "perplexity_after": 1.0553,
}
SIZE_GATE = {"suite": "quantize", "variant": "quantized", "direction": "at_most"}
GATES = [
    {**SIZE_GATE, "metric": "bytes", "threshold": 4_000_000},
    {**SIZE_GATE, "metric": "ratio", "threshold": 0.25},
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of a run whose quantized model is a GGUF file of 8 bits."""
    root = tmp_path_factory.mktemp("reported_gguf")
    write_inputs(root, CHANGES | {"evaluate.gates": GATES})
    write_json(root / "data/quantized/quantize.json", SUMMARY)
    for run in (run_evaluate, run_report):
        result = run(root)
        assert result.returncode == 0, result.stderr
    return root / "reports"


@pytest.fixture(scope="module")
def page(reports: Path) -> str:
    return (reports / "index.html").read_text("utf-8")


def test_the_page_shows_size_and_loss_of_the_file(page: str) -> None:
    text = read_text(read_section(page, "training"))
    for fact in (
        "method gguf_q8_0",
        "form 8-bit",
        "parameters in fewer than 16 bits 99.9%",
        "validation texts with the same tokens in llama.cpp 99.5%",
        "weights before 13.5 MB",
        "weights after 3.74 MB",
        "bits per weight 8.91",
        "perplexity on validation before 1.0548",
        "perplexity on validation after 1.0553",
    ):
        assert fact in text
    assert "layers quantized" not in text


def test_the_verdict_and_the_columns_name_the_variant(page: str) -> None:
    assert "8-bit costs 25 points (which could be chance) and saves 72% of the bytes." in (
        read_text(page)
    )
    suite = read_english(read_section(page, "results"))
    assert [name in suite for name in ("base", "merged", "quantized")] == [True] * 3


def test_gates_of_size_are_decided_by_the_file(reports: Path, page: str) -> None:
    gates = read_english(read_section(page, "gates"))
    assert (gates.count("✓ passed"), gates.count("✗ failed")) == (1, 1)
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["quantize"] == {"bytes": 3_743_136, "ratio": 0.27826}


def test_the_report_for_terminals_has_size_and_loss_of_the_file(reports: Path) -> None:
    report = (reports / "report.md").read_text("utf-8")
    assert (
        "- quantize: gguf\\_q8\\_0 (8-bit), 3.74 MB, 8.91 bits per weight, perplexity on "
        "validation 1.0548 before and 1.0553 after"
    ) in report


def test_the_model_card_says_which_program_loads_the_file(reports: Path) -> None:
    card = (reports / "model-card.md").read_text("utf-8")
    assert "the quantized one (gguf_q8_0, 8-bit) 3.74 MB, 8.91 bits per weight" in card
    assert (
        "Load the merged model with `transformers.AutoModelForCausalLM.from_pretrained` and "
        "`model.gguf` with llama.cpp."
    ) in card
    assert "bitsandbytes" not in card
