"""The form for Ollama: the file that ships, the tokens of its prompts, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from dvc.repo import Repo

from lockstep.models import loading
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.models.heads import HEAD_FILE
from lockstep.publishing import go_templates
from lockstep.publishing.chat_formats import CONVERSATIONS

Export = Callable[..., Result]
OUT = Path("build/export/ollama")

TOKENIZE = """
import json, sys, urllib.request, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.port, params.verbosity = sys.argv[1], 512, 0, 1
server = xllamacpp.Server(params)
for text in json.load(sys.stdin):
    body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
    request = urllib.request.Request(f"{server.listening_address}/tokenize", body)
    with urllib.request.urlopen(request) as response:
        print(json.load(response)["tokens"])
"""


def test_llama_cpp_reads_the_tokens_of_our_prompts(export: Export, clone: Path) -> None:
    listing = export("ollama").stdout
    assert export("ollama", "--go").exit_code == 0
    template = (OUT / "Modelfile").read_text().split('"""')[1]
    texts = [go_templates.render_messages(template, rows) for rows in CONVERSATIONS]
    output = subprocess.check_output(
        [sys.executable, "-c", TOKENIZE, str(OUT / GGUF_FILE)],
        input=json.dumps(texts),
        text=True,
        timeout=120,
    )
    tokenizer = loading.load_tokenizer(clone / "data/merged")
    expected = [tokenizer.encode_prompt(rows) for rows in CONVERSATIONS]
    assert [json.loads(line) for line in output.splitlines()] == expected
    assert f"about {estimate_kilobytes(clone):.3g} kB  {GGUF_FILE}" in listing
    card = (OUT / "README.md").read_text()
    assert f"| `{GGUF_FILE}` | {(OUT / GGUF_FILE).stat().st_size / 1000:.3g} kB |" in card
    assert "before the conversion" in card


def estimate_kilobytes(clone: Path) -> float:
    """Return the size of the model's parameters in Q8_0: 8.5 bits each."""
    weights = loading.load_model(clone / "data/merged", "float32", "eager", "cpu")
    return sum(part.numel() for part in weights.parameters()) * 8.5 / 8 / 1000


def test_a_gguf_file_of_quantize_leaves_as_it_is(export: Export, clone: Path) -> None:
    quantized = clone / "data/quantized"
    (quantized / "model.safetensors").unlink()
    (quantized / GGUF_FILE).write_bytes(b"GGUF")
    (quantized / "LICENSE").write_text("The terms.")
    Repo().commit(force=True)
    result = export("ollama", "--go")
    assert result.exit_code == 0, result.output
    assert (OUT / GGUF_FILE).read_bytes() == b"GGUF"
    assert (OUT / "LICENSE").read_text() == "The terms."
    assert (OUT / "Modelfile").read_text().endswith('LICENSE "The terms."\n')
    assert "This is the quantized model" in (OUT / "README.md").read_text()


def test_weights_that_ollama_does_not_read_are_refused(export: Export) -> None:
    result = export("ollama", "--source", "quantized")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: data/quantized: Ollama does not read these weights; use FROM=merged, or set "
        "quantize.method to a GGUF method\n"
    )


def test_an_unknown_template_and_an_existing_target_are_two_lines(
    export: Export, clone: Path
) -> None:
    template = clone / "data/merged/chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>", "<|im_start|> "))
    Repo().commit(force=True)
    OUT.mkdir(parents=True)
    result = export("ollama", "--go")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("error: data/merged: its chat template writes none of the formats")
    assert second.startswith("error: build/export/ollama: exists")


def test_a_model_with_a_head_is_refused(export: Export, clone: Path) -> None:
    head = {"problem": "single_label_classification", "labels": ["a", "b"]}
    (clone / "data/merged" / HEAD_FILE).write_text(json.dumps(head))
    Repo().commit(force=True)
    result = export("ollama", "--source", "merged")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: data/merged holds a model with a head, which llama.cpp cannot serve; use "
        "TO=folder\n"
    )
