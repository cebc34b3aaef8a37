"""The base gets the chat template, the variables and the date of params.yaml."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.errors import UserError
from lockstep.hub import base_template
from lockstep.hub.base_params import PROJECT_TEMPLATES, BaseParams
from lockstep.models import loading
from lockstep.records import Record

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "In Lyon."},
]


def make_params(**values: Any) -> BaseParams:
    return BaseParams(source="starter", **values)


def write_template(folder: Path, **values: Any) -> None:
    base_template.write_template(folder, make_params(**values))


def render(folder: Path) -> str:
    """Return the whole text of a conversation as training reads it."""
    tokenizer = loading.load_tokenizer(folder)
    record = Record(messages=MESSAGES, task="", source="", origin="a:1")
    return tokenizer.pretrained.decode(tokenizer.encode_example(record, 1000).input_ids)


@pytest.fixture
def without_template(tiny_model_copy: Path) -> Path:
    """A model as GPT-2 or Llama's base models are published."""
    (tiny_model_copy / "chat_template.jinja").unlink()
    return tiny_model_copy


def test_a_template_that_needs_no_change_is_not_written(tiny_model_copy: Path):
    file = tiny_model_copy / "chat_template.jinja"
    file.write_text(file.read_text(), encoding="utf-8")
    before = file.stat().st_mtime_ns
    write_template(tiny_model_copy)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "chatml",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n"
            "<|im_start|>assistant\nIn Lyon.<|im_end|>",
        ),
        ("plain", "Be brief.\n\nUser: Where?\n\nAssistant: In Lyon.<|im_end|>"),
    ],
)
def test_a_base_without_template_gets_one_of_the_project(
    without_template: Path, name: str, text: str
):
    """The tokenizer's eos_token ends the turns; here it is <|im_end|>."""
    write_template(without_template, chat_template=name)
    assert render(without_template) == text


def test_every_template_of_the_project_has_a_file():
    folder = Path(base_template.__file__).parent / "templates"
    assert {path.stem for path in folder.glob("*.jinja")} == set(PROJECT_TEMPLATES)


def test_a_file_replaces_the_template(tiny_model_copy: Path, tmp_path: Path):
    file = tmp_path / "own.jinja"
    file.write_text("{% for m in messages %}({{ m['content'] }}){{ eos_token }}{% endfor %}")
    write_template(tiny_model_copy, chat_template=str(file))
    assert render(tiny_model_copy).endswith("(In Lyon.)<|im_end|>")


def test_a_template_file_that_does_not_exist_is_an_error(tiny_model_copy: Path):
    with pytest.raises(UserError, match=r"base\.chat_template: none\.jinja: .*chatml, plain"):
        write_template(tiny_model_copy, chat_template="none.jinja")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b" \n", "the file is empty"), (b"\xff", "")],
)
def test_a_file_that_holds_no_template_is_an_error(
    tiny_model_copy: Path, tmp_path: Path, content: bytes, reason: str
):
    file = tmp_path / "own.jinja"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"own\.jinja: .*{reason}.*name a template file"):
        write_template(tiny_model_copy, chat_template=str(file))


def test_a_new_template_replaces_the_named_ones_too(tiny_model_copy: Path):
    """Otherwise rows with tools would be written by the old template for them."""
    named = tiny_model_copy / "additional_chat_templates"
    named.mkdir()
    (named / "tool_use.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    write_template(tiny_model_copy, chat_template="plain")
    assert not named.exists()
    assert isinstance(loading.load_pretrained_tokenizer(tiny_model_copy).chat_template, str)


def test_named_templates_are_adapted_and_kept(tiny_model_copy: Path):
    template = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    named = tiny_model_copy / "additional_chat_templates"
    named.mkdir()
    (named / "tool_use.jinja").write_text(template)
    write_template(tiny_model_copy)
    assert (named / "tool_use.jinja").read_text().endswith(template)
    assert "2024" in (named / "tool_use.jinja").read_text()


def test_the_variables_and_the_date_are_written_into_the_template(tiny_model_copy: Path):
    file = tiny_model_copy / "chat_template.jinja"
    file.write_text("{{ strftime_now('%d.%m.%Y') }}{{ mood }}" + file.read_text())
    write_template(
        tiny_model_copy, template_options={"mood": "kind"}, template_date=date(2025, 3, 4)
    )
    assert render(tiny_model_copy).startswith("04.03.2025kind<|im_start|>")


def test_a_date_may_be_a_text_as_dvc_exp_run_writes_it():
    assert make_params(template_date="2025-03-04").template_date == date(2025, 3, 4)


@pytest.mark.parametrize("text", ["2025-3-4", "2025-02-30", "today"])
def test_a_date_that_does_not_exist_is_an_error(text: str):
    with pytest.raises(ValidationError):
        make_params(template_date=text)


def test_an_old_template_in_tokenizer_config_json_is_replaced(without_template: Path):
    config = without_template / "tokenizer_config.json"
    old = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": old}))
    write_template(without_template)
    assert "chat_template" not in json.loads(config.read_text())
    assert render(without_template).startswith("2024Be brief.")


def test_a_template_in_a_file_of_its_own_for_processors_is_found(without_template: Path):
    """Multi-modal folders of 2025 have chat_template.json."""
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    file = without_template / "chat_template.json"
    file.write_text(json.dumps({"chat_template": template}))
    assert render(without_template) == "[Be brief.][Where?][In Lyon.]<|im_end|>"
