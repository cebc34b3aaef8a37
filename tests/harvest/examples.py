"""A small project with prepared data, and a log of requests with feedback on them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from lockstep.harvest.__main__ import main
from tests.conftest import REPOSITORY

INTENT = "Name the intent."
SHOP = "You are the shop's assistant. Our number is +49 30 901820."
MASKED_SHOP = "You are the shop's assistant. Our number is [TELEPHONE]."

TICKETS = {
    "train": {
        "Please give me my money back for the kettle": "refund",
        "Where is the parcel that I ordered on Monday?": "track",
        "I do not want the blue chair any more": "cancel",
    },
    "validation": {"When does the courier come to my street?": "track"},
    "test": {
        "The lamp that you sent me is broken, so I want to have my money back now": "refund",
        "Stop my order of yesterday": "cancel",
    },
}
REPLIES = {
    "train": {"Do you ship to Norway?": "Yes, within a week."},
    "validation": {"Do you ship to Spain?": "Yes, within five days."},
    "test": {"Are you open on Sundays?": "No, only on weekdays."},
}

REQUESTS: dict[str, tuple[str, str, str]] = {
    "corrected": (INTENT, "My card was charged although the vase never came", "track"),
    "learnt-already": (INTENT, "please give me my money back for the kettle!", "track"),
    "contradiction": (INTENT, "I do not want the blue chair any more.", "track"),
    "tested": (INTENT, "stop my order of yesterday!", "track"),
    "nearly-tested": (
        INTENT,
        "The lamp that you sent me is broken, so I want to have all my money back now",
        "track",
    ),
    "disliked": (INTENT, "hello, is a human there?", "cancel"),
    "no-label": (INTENT, "I moved house", "cancel"),
    "this-way": (INTENT, "It is the wrong size", "track"),
    "that-way": (INTENT, "it is the wrong size!", "track"),
    "number": (MASKED_SHOP, "How can I call you?", "I do not know."),
    "mail": (MASKED_SHOP, "Write to [EMAIL] when it is back", "No."),
    "liked": (MASKED_SHOP, "Thank you!", "You are welcome."),
    "well": (MASKED_SHOP, "Good evening", "Hello."),
    "badly": (MASKED_SHOP, "Good morning", "Bye."),
}
"""Id of a request -> system message, question and answer of the model."""

FEEDBACK: dict[str, dict[str, Any]] = {
    "corrected": {"correction": "refund"},
    "learnt-already": {"correction": "refund"},
    "contradiction": {"correction": "refund"},
    "tested": {"correction": "cancel"},
    "nearly-tested": {"correction": "refund"},
    "disliked": {"thumb": "down", "comment": "odd, ask me at ann@example.com"},
    "no-label": {"correction": "This is about my address."},
    "this-way": {"correction": "refund"},
    "that-way": {"correction": "cancel"},
    "number": {"correction": "Call +49 30 901821."},
    "mail": {"correction": "I will write to [EMAIL]."},
    "liked": {"thumb": "up"},
    "well": {"score": 5},
    "badly": {"score": 1},
    "turns": {"correction": "Your order 77 is on its way."},
    "completion": {"correction": "of"},
    "call": {"correction": "of"},
    "unsampled": {"thumb": "down"},
    "rotated-away": {"thumb": "down"},
}
"""Id of a request -> what people said about the answer."""

TURNS = [
    {"role": "system", "content": MASKED_SHOP},
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": "What?"},
    {"role": "user", "content": "My order 77"},
]


def list_requests() -> list[dict[str, Any]]:
    """Return the lines of the log; more requests than those with feedback."""
    lines = [
        _make_line(
            name,
            [{"role": "system", "content": system}, {"role": "user", "content": question}],
            answer,
        )
        for name, (system, question, answer) in REQUESTS.items()
    ]
    lines.append(_make_line("turns", TURNS, "What order?"))
    lines.append(_make_line("completion", [{"role": "text", "content": "Once upon"}], "a time"))
    lines.append(_make_line("call", TURNS[:2], "") | {"tools": [{"type": "function"}]})
    lines.append({"time": 9.0, "request_id": "unsampled", "status": 200})
    lines.append(_make_line("unrated", TURNS[:2], "Here."))
    return lines


def _make_line(name: str, messages: list[dict[str, Any]], answer: str) -> dict[str, Any]:
    return {
        "time": 9.0,
        "request_id": name,
        "endpoint": "/v1/chat/completions",
        "answered_by": "tuned",
        "status": 200,
        "messages": messages,
        "answer": answer,
        "finish_reason": "stop",
    }


def write_lines(file: Path, lines: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_log(folder: Path) -> None:
    """Write the log with its older half in a rotated file."""
    requests = list_requests()
    write_lines(folder / "requests.jsonl.1", requests[:7])
    write_lines(folder / "requests.jsonl", requests[7:])
    feedback = [{"time": 9.5, "request_id": name, **said} for name, said in FEEDBACK.items()]
    write_lines(folder / "feedback.jsonl.1", [{"request_id": "corrected", "correction": "cancel"}])
    write_lines(folder / "feedback.jsonl", feedback)


def write_project(folder: Path) -> None:
    """Write raw data, params.yaml and a log, and prepare the data."""
    raw = folder / "data/raw"
    raw.mkdir(parents=True)
    sources: list[dict[str, Any]] = []
    for split, tickets in TICKETS.items():
        rows = [{"text": text, "label": label} for text, label in tickets.items()]
        write_lines(raw / f"tickets_{split}.jsonl", rows)
        sources.append(
            {"path": f"tickets_{split}.jsonl", "format": "classification", "system": INTENT}
            | {"task": "intent", "split": split}
        )
    for split, replies in REPLIES.items():
        pairs = [{"prompt": prompt, "completion": answer} for prompt, answer in replies.items()]
        write_lines(raw / f"replies_{split}.jsonl", pairs)
        sources.append(
            {"path": f"replies_{split}.jsonl", "format": "prompt_completion", "system": SHOP}
            | {"task": "reply", "split": split}
        )
    write_params(folder, sources=sources)
    write_log(folder / "log")
    prepare(folder)


def read_params(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(folder / "params.yaml")
    return values


def write_params(folder: Path, objective: str = "sft", **prepare: Any) -> None:
    """Write the repository's params.yaml (as JSON, which is YAML) with changes of `prepare`."""
    values = read_params(REPOSITORY)
    values["prepare"] |= prepare
    values["train"] |= {"objective": objective}
    (folder / "params.yaml").write_text(json.dumps(values), encoding="utf-8")


def prepare(folder: Path) -> None:
    """Run the stage prepare."""
    subprocess.run(
        [sys.executable, "-m", "stages.prepare", "data/raw", "data/prepared"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
    )


def run_harvest(*options: str) -> Result:
    """Run the command in the current folder, with output to `out` unless the options say so."""
    out = [] if "--out" in options else ["--out", "out"]
    return CliRunner().invoke(
        main, ["data/raw", "data/prepared", "--log", "log", *out, *options], prog_name="harvest"
    )


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
