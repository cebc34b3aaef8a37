"""Known chat formats in Go's template language, and which of them a tokenizer's template writes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.publishing import go_templates
from lockstep.records import Message

BOS, EOS = "<s>", "</s>"
"""Texts in a format that stand for the tokenizer's bos_token and eos_token."""

MISTRAL_MARKS = (
    ("[INST] ", " [/INST]", "", EOS),
    ("[INST] ", " [/INST]", "", f"{EOS} "),
    ("[INST] ", " [/INST]", " ", EOS),
    (" [INST] ", " [/INST]", " ", EOS),
    ("[INST] ", "[/INST]", " ", EOS),
    ("[INST]", "[/INST]", " ", EOS),
    ("[INST]", "[/INST]", "", EOS),
)
"""Texts before and after a question and an answer, as the releases of Mistral write them."""

SYSTEM = "Answer briefly."
QUESTION = "Where is {{ order }} 4711?\n去哪里了?"
CONVERSATIONS: list[list[Message]] = [
    [{"role": role, "content": text} for role, text in rows]
    for rows in (
        [("user", QUESTION)],
        [("system", SYSTEM), ("user", QUESTION)],
        [("user", "Hi"), ("assistant", 'It is "here".'), ("user", QUESTION)],
        [("system", SYSTEM), ("user", "Hi"), ("assistant", "It left."), ("user", "And now?"),
         ("assistant", "It arrived.\n\nToday."), ("user", QUESTION)],
    )
]  # fmt: skip
"""Conversations whose tokens must be equal. No message begins or ends with a blank, since many
templates strip blanks and Ollama does not."""

_LLAMA_3_DATE = "26 Jul 2024"
_DATE = re.compile(r"Today Date: (\d\d \w{3} \d{4})")


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """A chat format as Ollama takes it."""

    name: str
    template: str
    """Template in Go's language, for the instruction TEMPLATE of a Modelfile."""
    system: str = ""
    """System message that the model's own template writes if a conversation has none."""


def find_format(tokenizer: ChatTokenizer, where: str) -> ChatFormat:
    """Return the known format that gives the same prompt tokens as the tokenizer's chat template.

    Raise UserError if there is none; `where` names the model in the message.
    """
    if not tokenizer.has_template:
        raise UserError(f"{where}: no chat template to give to Ollama; use TO=folder")
    expected = [tokenizer.encode_prompt(rows) for rows in CONVERSATIONS]
    for candidate in _list_candidates(tokenizer):
        if [encode_prompt(candidate, rows, tokenizer) for rows in CONVERSATIONS] == expected:
            return candidate
    raise UserError(
        f"{where}: its chat template writes none of the formats {', '.join(FORMATS)}; use "
        "TO=folder and serve it with llama.cpp or vLLM, which render the template itself"
    )


def encode_prompt(
    chat_format: ChatFormat, messages: list[Message], tokenizer: ChatTokenizer
) -> list[int]:
    """Return the ids of the prompt that Ollama makes of a conversation.

    llama.cpp adds the token that begins a text if the tokenizer does.
    """
    if chat_format.system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": chat_format.system}, *messages]
    text = go_templates.render_messages(chat_format.template, messages)
    ids = tokenizer.encode_text(text, with_control_tokens=True)
    return [tokenizer.pretrained.bos_token_id, *ids] if adds_bos(tokenizer) else ids


def adds_bos(tokenizer: ChatTokenizer) -> bool:
    """Whether the tokenizer adds the token that begins a text."""
    ids = tokenizer.pretrained("a")["input_ids"]
    return bool(ids) and ids[0] == tokenizer.pretrained.bos_token_id


def _list_candidates(tokenizer: ChatTokenizer) -> Iterator[ChatFormat]:
    """Yield each format with the tokenizer's own tokens, and with its default system message."""
    special = tokenizer.pretrained.special_tokens_map
    bos, eos = special.get("bos_token", ""), special.get("eos_token", "")
    rendered = tokenizer.render_prompt(CONVERSATIONS[0])
    date = _DATE.search(rendered)
    for name, templates in FORMATS.items():
        for template in templates:
            template = template.replace(BOS, bos).replace(EOS, eos)
            template = template.replace(_LLAMA_3_DATE, date[1] if date else _LLAMA_3_DATE)
            if bos and rendered.startswith(bos) and not adds_bos(tokenizer):
                template = bos + template
            yield ChatFormat(name, template)
            if system := _find_default_system(template, rendered):
                yield ChatFormat(name, template, system)


def _find_default_system(template: str, rendered: str) -> str:
    """Return the system message in a rendered question that has none; empty if there is none."""
    messages = [{"role": "system", "content": "\0"}, *CONVERSATIONS[0]]
    before, _, after = go_templates.render_messages(template, messages).partition("\0")
    start = rendered.find(before)
    if start < 0 or not rendered.endswith(after):
        return ""
    return rendered[start + len(before) : len(rendered) - len(after)]


def _join_system(
    marks: tuple[str, str, str, str],
    system: tuple[str, str] = ("", "\n\n"),
    end: str = "",
    when: str = "$system",
) -> str:
    """Return a template whose system message stands in a question, the next one by default.

    `marks` are the texts before and after a question and an answer, `system` those around the
    system message, and `end` opens the answer of the model.
    """
    question, question_end, answer, answer_end = marks
    return (
        '{{ $system := "" }}{{ range $i, $_ := .Messages }}'
        '{{ if eq .Role "system" }}{{ $system = .Content }}'
        f'{{{{ else if eq .Role "user" }}}}{question}'
        f"{{{{ if {when} }}}}{system[0]}{{{{ $system }}}}{system[1]}"
        '{{ $system = "" }}{{ end }}'
        f"{{{{ .Content }}}}{question_end}"
        f"{{{{ else }}}}{answer}{{{{ .Content }}}}{answer_end}"
        f"{{{{ end }}}}{{{{ end }}}}{end}"
    )


def _write_roles(before: str, between: str, after: str, assistant: str = "assistant") -> str:
    """Return a template that writes the role of each message before it."""
    return (
        f"{{{{ range .Messages }}}}{before}{{{{ .Role }}}}{between}{{{{ .Content }}}}{after}"
        f"{{{{ end }}}}{before}{assistant}{between}"
    )


_CHATML = _write_roles("<|im_start|>", "\n", "<|im_end|>\n")
_LLAMA_3 = _write_roles("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>")
_LLAMA_3_SYSTEM = f"""\
<|start_header_id|>system<|end_header_id|>

Cutting Knowledge Date: December 2023
Today Date: {_LLAMA_3_DATE}

"""
_LAST = "and $system (eq (len (slice $.Messages $i)) 1)"
"""Condition of the last message."""

FORMATS = {
    "ChatML": [
        _CHATML,
        f"{_CHATML}<think>\n\n</think>\n\n",
        f"{_CHATML}<think>\n",
        _write_roles("<|im_start|>", "\n", f"{EOS}\n"),
    ],
    "Llama 3": [
        _LLAMA_3,
        f"{_LLAMA_3_SYSTEM}{{{{ .System }}}}<|eot_id|>"
        + _LLAMA_3.replace(
            "{{ range .Messages }}", '{{ range .Messages }}{{ if ne .Role "system" }}'
        ).replace("<|eot_id|>{{ end }}", "<|eot_id|>{{ end }}{{ end }}"),
    ],
    "Llama 2": [
        _join_system(("[INST] ", " [/INST]", " ", f" {EOS}{BOS}"), ("<<SYS>>\n", "\n<</SYS>>\n\n"))
    ],
    "Mistral": [
        _join_system(marks, when=when) for marks, when in product(MISTRAL_MARKS, ("$system", _LAST))
    ],
    "Gemma": [
        _join_system(
            (
                "<start_of_turn>user\n",
                "<end_of_turn>\n<start_of_turn>model\n",
                "",
                "<end_of_turn>\n",
            )
        )
    ],
    "Phi-3": [_write_roles("<|", "|>\n", "<|end|>\n")],
    "Phi-4": [_write_roles("<|im_start|>", "<|im_sep|>", "<|im_end|>")],
    "Zephyr": [_write_roles("<|", "|>\n", f"{EOS}\n")],
    "plain": [
        '{{ range .Messages }}{{ if eq .Role "assistant" }}Assistant: {{ .Content }}'
        f'{EOS}{{{{ else if eq .Role "user" }}}}User: {{{{ .Content }}}}'
        "{{ else }}{{ .Content }}{{ end }}\n\n{{ end }}Assistant:"
    ],
}
"""Name of each format and its templates: releases of a family differ in blanks and system."""
