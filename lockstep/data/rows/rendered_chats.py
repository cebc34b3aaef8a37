"""Conversations as a chat template writes them, with its marks, in one text.

These are ChatML (`<|im_start|>`), the forms of Llama 2 and 3, Mistral, Gemma, Zephyr, Phi, MOSS,
Baize and NeMo (`<extra_id_1>`), and the instruction form of Alpaca. The marks are read and never
become a part of a turn.
"""

import re

from lockstep.data.rejected_rows import InvalidRowError

_STARTS = (
    *("<|", "<s>", "[INST]", "[|", "<start_of_turn>", "<bos>", "<extra_id_"),
    *("### Instruction", "Below is an instruction"),
)
"""Beginnings of such texts."""
_BEFORE_TURNS = re.compile(r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>)?\s*")
_MARKS = tuple(
    (re.compile(begin), re.compile(rf"\s*(?:(?:{end}|<\|endoftext\|>)\s*)+\Z"))
    for begin, end in (
        (r"<\|im_start\|>[ \t]*(\w+)\s*?\n", r"<\|im_end\|>"),
        (r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*", r"<\|eot_id\|>|<\|eom_id\|>"),
        (r"<start_of_turn>(\w+)\s*?\n", r"<end_of_turn>|<eos>"),
        (r"<\|(system|user|assistant)\|>\s*", r"</s>|<\|end\|>"),
        (r"<\|(Human|MOSS)\|>:\s*", r"<eo[hm]>"),
        (r"\[\|(Human|AI)\|\]\s*", r"\[\|endofturn\|\]"),
        (r"<extra_id_[01]>(System|User|Assistant)[ \t]*(?:\r?\n|\Z)", r"<extra_id_1>"),
    )
)
"""Marks at the beginning of a turn, with its role, and at the end of one."""
_ROLES = {"MOSS": "assistant"}
_FIRST_TURN, _NEXT_TURN = "<extra_id_1>User\n", "<extra_id_1>Assistant\n"
"""Marks of NeMo's form."""

_END_OF_ANSWER = re.compile(r"\s*(?:</s>)?\s*(?:<s>)?\s*\Z")
_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>\s*", re.DOTALL)
_ALPACA = re.compile(
    r"(?:Below is an instruction that describes a task[^#]*)?"
    r"### Instruction:\s*(?P<instruction>.*?)\s*"
    r"(?:\n### Input:\s*(?P<input>.*?)\s*)?"
    r"\n### Response:\s*(?P<response>.*?)\s*(?:</s>|<\|endoftext\|>|### End)?\s*\Z",
    re.DOTALL,
)

Turn = dict[str, str]


def split_turns(text: str) -> list[Turn]:
    """Return the turns, each with role and content; an empty list for any other text."""
    stripped = text.lstrip()
    if _NEXT_TURN in text and not stripped.startswith("<extra_id_"):
        stripped = f"{_FIRST_TURN}{stripped}"  # HelpSteer2 leaves the first mark out
    if not stripped.startswith(_STARTS):
        return []
    if stripped.startswith(("###", "Below")):
        return _split_alpaca(stripped)
    begin = _BEFORE_TURNS.match(stripped)
    start = begin.end() if begin else 0
    if stripped.startswith("[INST]", start):
        return _split_llama(stripped[start:])
    for opening, closing in _MARKS:
        marks = list(opening.finditer(stripped, start))
        if marks and marks[0].start() == start:
            ends = [*(mark.start() for mark in marks[1:]), len(stripped)]
            turns = [
                {
                    "role": _ROLES.get(mark[1], mark[1]),
                    "content": closing.sub("", stripped[mark.end() : end]).strip(),
                }
                for mark, end in zip(marks, ends, strict=True)
            ]
            return _drop_prompt_end(turns)
    return []


def refuse_conversation(text: str, column: str) -> None:
    """Raise InvalidRowError for a text with turns, whose marks would be learnt as text."""
    roles = {turn["role"].lower() for turn in split_turns(text)}
    if len(roles - {"system"}) > 1:
        raise InvalidRowError(
            "text_is_a_conversation",
            detail="it has the marks of turns, which would be learnt as text; read it by format: "
            f"messages, columns: {{messages: {column}}}",
        )


def _split_llama(text: str) -> list[Turn]:
    """Return the turns of a text as Llama 2 and Mistral mark them, `[INST] … [/INST] …`."""
    turns: list[Turn] = []
    for part in text.split("[INST]")[1:]:
        question, mark, answer = part.partition("[/INST]")
        if not turns and (system := _SYSTEM.match(question)):
            if system[1].strip():
                turns.append({"role": "system", "content": system[1].strip()})
            question = question[system.end() :]
        turns.append({"role": "user", "content": question.strip()})
        if mark:
            answer = _END_OF_ANSWER.sub("", answer).strip()
            turns.append({"role": "assistant", "content": answer})
    return _drop_prompt_end(turns)


def _split_alpaca(text: str) -> list[Turn]:
    """Return the question and the answer of a text in the form in which Alpaca was trained."""
    match = _ALPACA.match(text)
    if not match or "\n### Instruction:" in match["response"]:
        return []
    question = "\n".join(filter(None, (match["instruction"], match["input"])))
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": match["response"]},
    ]
    return _drop_prompt_end(turns)


def _drop_prompt_end(turns: list[Turn]) -> list[Turn]:
    """Return turns without an answer that is only begun at the end."""
    return turns if turns[-1]["content"] else turns[:-1]
