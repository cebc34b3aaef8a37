"""The card that travels: the report's text, with metadata that the hub accepts."""

import pytest
from huggingface_hub import ModelCard

from lockstep.publishing.exported_card import write_card
from lockstep.publishing.licences import BaseLicence
from lockstep.publishing.lineage import Lineage
from tests.hub_uploads import list_card_errors
from tests.reporting.results import make_results

REPORT = """\
---
library_name: transformers
pipeline_tag: text-generation
base_model: "Qwen/Qwen3-0.6B"
tags: [sft, lora]
---

# A model

## Results

| suite | metric | merged |
|---|---|--:|
| intent | accuracy | 95.0% (91.3% – 97.2%) |

## Files

The merged model takes 3 MB.
"""
COMMIT = "0123456789" * 4


def write(
    base: BaseLicence = BaseLicence(["apache-2.0"], "stated in its card"),  # noqa: B008 - frozen
    changes: list[str] | None = None,
    file: str = "model.safetensors",
) -> str:
    return write_card(
        REPORT,
        "A model | <b>",
        "merged",
        make_results((0.1, 0.95, 0.94)),
        base,
        [("intent.csv", "CC0"), ("a|b.csv", "not stated")],
        Lineage(COMMIT, changes or [], [("raw data", "`data/raw`, MD5 00ff")]),
        [(file, 3_000_000)],
        "Load it so.",
    )


def test_the_metadata_is_what_the_hub_reads() -> None:
    card = write()
    assert list_card_errors(card) == []
    data = ModelCard(card).data
    assert (data.license, data.base_model, data.library_name) == (
        "apache-2.0",
        "Qwen/Qwen3-0.6B",
        "transformers",
    )
    assert data.model_name == "A model | <b>"
    assert [
        (row.dataset_name, row.dataset_split, row.metric_type, row.metric_value)
        for row in data.eval_results
    ] == [("intent", "test", "accuracy", 0.95), ("all tasks", "test", "perplexity", 2.0)]


def test_suites_stay_apart_in_the_model_index() -> None:
    index = ModelCard(write()).data.to_dict()["model-index"]
    assert [result["dataset"]["name"] for result in index[0]["results"]] == ["intent", "all tasks"]


def test_the_report_s_text_stays_but_for_the_pipeline_s_folders() -> None:
    card = write()
    assert "| intent | accuracy | 95.0% (91.3% – 97.2%) |" in card
    assert "The merged model takes 3 MB." not in card
    assert card.count("## Files") == 1
    assert "| `model.safetensors` | 3 MB |" in card


def test_lineage_and_licences_are_stated() -> None:
    card = write()
    assert f"| commit | `{COMMIT}` |\n| raw data | `data/raw`, MD5 00ff |" in card
    assert "The commit does not describe" not in card
    assert "Base model: apache-2.0 (stated in its card)." in card
    assert "| intent.csv | CC0 |\n| a\\|b.csv | not stated |" in card


def test_uncommitted_changes_are_stated() -> None:
    assert "these files had changed: `params.yaml`, `dvc.lock`." in write(
        changes=["params.yaml", "dvc.lock"]
    )


@pytest.mark.parametrize(
    ("base", "metadata", "text"),
    [
        (
            BaseLicence(["other"], "stated in its card", {"license_name": "qwen-research"}),
            {"license": "other", "license_name": "qwen-research"},
            "Base model: other (stated in its card).",
        ),
        (
            BaseLicence(["mit", "cc0-1.0"], "stated in its card"),
            {"license": ["mit", "cc0-1.0"]},
            "Base model: mit, cc0-1.0 (",
        ),
        (
            BaseLicence(["unknown"], "see LICENSE beside this card"),
            {"license": "unknown"},
            "Base model: not known (see LICENSE beside this card).",
        ),
    ],
)
def test_other_licences(base: BaseLicence, metadata: dict[str, object], text: str) -> None:
    card = write(base)
    values = ModelCard(card).data.to_dict()
    assert {key: values[key] for key in metadata} == metadata
    assert text in card and list_card_errors(card) == []


def test_a_gguf_file_has_its_library() -> None:
    card = write(file="model.gguf")
    assert ModelCard(card).data.library_name == "gguf"
    assert "This is the merged model of the results above. Load it so.\n" in card
