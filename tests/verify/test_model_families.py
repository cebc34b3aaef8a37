"""Published folders of model families go through all stages, and the checks find differences."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.verify.model_families import exactness, models_page, plain_models
from lockstep.verify.model_families.all_families import FAMILIES
from lockstep.verify.model_families.exactness import Difference
from lockstep.verify.model_families.family_run import (
    LABELS,
    Cell,
    build_records,
    list_failures,
    run_family,
)
from lockstep.verify.model_families.published_folder import write_folder
from tests.conftest import REPOSITORY

DIFFERENT_FAMILIES = [
    "qwen3-8b",  # an empty reasoning block before the answer
    "gemma-3-4b-it",  # vision tensors, old tensor names, tied weights
    "gpt-oss-20b-bf16",  # mixture of experts, channels, the date in its template
    "phi-3-mini-4k",  # auto_map, fused projections, eos_token that does not end a turn
    "mistral-7b-v0.3",  # sentencepiece, shards, a blank before the answer
    "falcon-7b-instruct",  # own linear layers, nothing ends a turn
    "roberta-base",  # an encoder
    "t5-base",  # an encoder-decoder
]
COLUMNS = [*models_page.COLUMNS]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", DIFFERENT_FAMILIES)
def test_a_published_folder_goes_through_all_stages_exactly(name: str, tmp_path: Path) -> None:
    result = run_family(FAMILIES[name], tmp_path)
    assert list_failures(result) == {}
    not_run = [column for column, cell in result.items() if cell.status == "–"]
    assert not_run == (["labels"] if FAMILIES[name].objective == "translation" else [])
    assert [*result] == COLUMNS


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    result = run_family(FAMILIES["gpt-oss-20b-mxfp4"], tmp_path)
    assert result["base"].status == "refused" and "quantized" in result["base"].reason
    assert {cell.status for column, cell in result.items() if column != "base"} == {"–"}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_plain_transformers_loads_the_published_folder(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    if "spm.model" in family.files:
        pytest.importorskip("google.protobuf")  # transformers reads sentencepiece models with it
    write_folder(family, tmp_path / "published")
    model = plain_models.load_published(tmp_path / "published", family.objective)
    tokenizer = plain_models.load_tokenizer(tmp_path / "published")
    size = model.get_input_embeddings().num_embeddings
    assert max(tokenizer.get_vocab().values()) < size
    assert {*family.files} <= {
        path.relative_to(tmp_path / "published").as_posix()
        for path in (tmp_path / "published").rglob("*")
    }
    for end in plain_models.read_end_ids(tmp_path / "published"):
        assert end < size


@pytest.fixture(scope="module")
def encoder_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workspace in which all stages ran on an encoder."""
    workspace = tmp_path_factory.mktemp("encoder")
    assert list_failures(run_family(FAMILIES["bert-base-uncased"], workspace)) == {}
    return workspace


def damage_weights(folder: Path) -> None:
    """Change one row of each matrix."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    for tensor in tensors.values():
        if tensor.ndim == 2:
            tensor[-1] *= 1.1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def damage_prediction(workspace: Path) -> None:
    """Change the first answer of the merged model."""
    path = workspace / "predicted/merged/predictions.jsonl"
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    values: dict[str, Any] = json.loads(first)
    values["prediction"] = next(label for label in LABELS if label != values["prediction"])
    path.write_text("\n".join([json.dumps(values), *rest]) + "\n", encoding="utf-8")


def damage_quantization(workspace: Path) -> None:
    """Put the merged weights in the place of the quantized ones."""
    shutil.copyfile(
        workspace / "merged/model.safetensors", workspace / "quantized/model.safetensors"
    )


def damage_tokenizer(workspace: Path) -> None:
    """Let the base's tokenizer keep capital letters."""
    path = workspace / "base/tokenizer_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {"do_lower_case": False}), encoding="utf-8")


@pytest.mark.parametrize(
    "damage, check",
    [
        (lambda workspace: damage_weights(workspace / "base"), exactness.check_base_logits),
        (lambda workspace: damage_weights(workspace / "merged"), exactness.check_merged_logits),
        (damage_quantization, exactness.check_quantized_weights),
        (damage_prediction, exactness.check_answers),
        (damage_tokenizer, exactness.check_labels),
    ],
    ids=["base", "merged", "quantized", "prediction", "tokenizer"],
)
def test_a_check_finds_a_difference(
    encoder_workspace: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    check: Callable[..., None],
) -> None:
    workspace = shutil.copytree(encoder_workspace, tmp_path / "copy")
    family = FAMILIES["bert-base-uncased"]
    rows = build_records(family.objective)
    check(family, workspace, rows, LABELS)
    damage(workspace)
    with pytest.raises(Difference):
        check(family, workspace, rows, LABELS)


def test_a_changed_template_is_a_difference(tmp_path: Path) -> None:
    family = FAMILIES["llama-3.1-8b"]
    for folder in ("published", "base"):
        write_folder(family, tmp_path / folder)
    rows = build_records(family.objective)
    exactness.check_labels(family, tmp_path, rows, LABELS)
    path = tmp_path / "base/tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["chat_template"] = settings["chat_template"].replace("26 Jul", "27 Jul")
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(Difference, match="prompt differs"):
        exactness.check_labels(family, tmp_path, rows, LABELS)


def test_the_page_shows_status_and_reason() -> None:
    ok = dict.fromkeys(COLUMNS, Cell("ok"))
    failed = ok | {"base": Cell("refused", "config.json: why"), "sft": Cell("–")}
    page = models_page.build_page(FAMILIES, {"t5-base": failed, "gpt2-medium": ok})
    cells = " | ".join(["ok"] * len(COLUMNS))
    assert f"| gpt2-medium | GPT2LMHeadModel | {cells} |\n" in page
    assert "| t5-base | T5ForConditionalGeneration | refused | – | ok |" in page
    assert "t5-base, base: refused: config.json: why\n" in page
    assert "1 of 2 pass" in page


def test_the_committed_page_has_all_families() -> None:
    page = (REPOSITORY / "docs/models.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    assert [row.removeprefix("| ") for row in rows if row.removeprefix("| ") in FAMILIES] == [
        *FAMILIES
    ]
