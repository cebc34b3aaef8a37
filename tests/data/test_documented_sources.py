"""The fragments of docs/data.md and docs/formats.md read the files that they are about."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep.data import source_reading
from tests.data.test_prepare_params import make_params
from tests.test_docs import list_blocks

CALL = {"name": "weather", "arguments": {"city": "Bern"}}
FUNCTION = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
FILES: dict[str, list[dict[str, Any]]] = {
    "intents.jsonl": [
        {"text": "Money back!", "label": 0, "meta": {"channel": "mail"}},
        {"text": "Where is it?", "label": 2, "meta": {}},
    ],
    "translations.jsonl": [
        {"text": "good day", "language": "French", "instances": [{"output": "bonjour"}]}
    ],
    "articles.jsonl": [
        {"text": f"Article {number} is long enough.", "category": ("news", "sport")[number % 2]}
        for number in range(8)
    ],
    "forum.jsonl": [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": []},
        {"messages": "not read"},
    ],
    "cluener.jsonl": [{"text": "王小明在北大", "label": {"name": {"王小明": [[0, 2]]}}}],
    "snips.json": [{"Play": [{"data": [{"text": "play "}, {"text": "Halo", "entity": "song"}]}]}],
    "conll.jsonl": [{"tokens": ["Ada", "Bo", "ran"], "pos_tags": [1, 1, 2], "ner_tags": [1, 2, 0]}],
    "massive.jsonl": [{"utt": "wake me at nine", "annot_utt": "wake me at [time : nine]"}],
    "dygie.jsonl": [{"words": ["Ada", "Bo", "ran"], "ner": [[0, 1, "PER"]]}],
    "xlam.json": [
        {
            "id": 0,
            "query": "Weather?",
            "answers": json.dumps([CALL]),
            "tools": json.dumps([{"name": "weather", "parameters": {"city": {"type": "str"}}}]),
        }
    ],
    "glaive.json": [
        {
            "system": "SYSTEM: You are a helpful assistant with access to the following functions."
            f" Use them if required -\n{json.dumps(FUNCTION, indent=4)}",
            "chat": f"USER: Weather?\n\n\nASSISTANT: <functioncall> {json.dumps(CALL)} "
            "<|endoftext|>\n\n\n",
        }
    ],
    "hermes.json": [
        {
            "id": "1",
            "category": "Weather",
            "tools": json.dumps([{"type": "function", "function": FUNCTION}]),
            "conversations": [
                {"from": "human", "value": "Weather?"},
                {"from": "gpt", "value": f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>\n"},
            ],
        }
    ],
    "toolace.json": [
        {
            "conversations": [
                {"from": "user", "value": "Weather?"},
                {"from": "assistant", "value": '[weather(city="Bern")]'},
                {"from": "tool", "value": "[{}]"},
                {"from": "assistant", "value": "It is cold."},
            ],
        }
    ],
    "ultrachat.jsonl": [{"id": "0", "data": ["Rain?", "Yes.", "Sure?", "Yes!"]}],
    "soda.jsonl": [{"dialogue": ["Rain?", "Yes.", "Oh."]}],
    "moss.jsonl": [
        {
            "conversation_id": 1,
            "category": "weather",
            "conversation": [{"human": "Rain?", "assistant": "Yes."}],
        }
    ],
    "firefly.jsonl": [{"kind": "Couplet", "input": "Rain?", "target": "Yes."}],
    "oasst.jsonl": [
        {
            "message_id": name,
            "parent_id": parent,
            "role": role,
            "text": text,
            "rank": rank,
            "lang": "en",
            "message_tree_id": "q",
        }
        for name, parent, role, text, rank in (
            ("q", None, "prompter", "Rain?", None),
            ("w", "q", "assistant", "No idea.", 1),
            ("a", "q", "assistant", "Yes.", 0),
            ("u", "a", "prompter", "Why?", None),
        )
    ],
    "beavertails.jsonl": [{"response": "Rain?", "category": {"violence": False, "theft": True}}],
    "oasst.trees.jsonl": [
        {
            "message_tree_id": "q",
            "prompt": {
                "role": "prompter",
                "text": "Rain?",
                "replies": [
                    {"role": "assistant", "text": "No.", "rank": 1, "replies": []},
                    {
                        "role": "assistant",
                        "text": "Yes.",
                        "rank": 0,
                        "replies": [{"role": "prompter", "text": "Why?", "replies": []}],
                    },
                ],
            },
        }
    ],
    "threads.jsonl": [{"text": "Rain?", "children": [{"text": "Yes.", "children": []}]}],
    "guanaco.jsonl": [{"text": "### Human: Rain?### Assistant: Yes."}],
    "chatml.jsonl": [
        {
            "text": "<|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n",
        }
    ],
    "saferlhf.jsonl": [
        {
            "prompt": "Rain?",
            "response_0": "No.",
            "response_1": "Yes.",
            "better_response_id": 1,
        }
    ],
    "shp.jsonl": [{"history": "Rain?", "human_ref_A": "Yes.", "human_ref_B": "No.", "labels": 1}],
    "arena.jsonl": [
        {
            "winner": winner,
            **{
                f"conversation_{side}": [
                    {"role": "user", "content": "Rain?"},
                    {"role": "assistant", "content": answer},
                ]
                for side, answer in (("a", "Yes."), ("b", "No."))
            },
        }
        for winner in ("model_a", "tie")
    ],
}
SUPPORT = """ticket,step,sender,body
7,2,bot,Yes.
7,1,user,Rain?
"""
LCCC = [["Rain?", "Yes."], ["Rain?", "Yes.", "Oh."]]
TRIAGE = """language,rating,department,ask,answer
en,5,Surgery,May I run?,Not yet.
en,3,Surgery,May I swim?,No.
fr,5,Surgery,Quand ?,Demain.
"""
TABLES = {
    "support.csv": SUPPORT,
    "triage.csv": TRIAGE,
    "ner.txt": "-DOCSTART-\tO\n\nAda\tB-PER\nran\tO\n",
    "comments.csv": "comment_text,rude,threat,insult\nGo!,1,0,1\nHi!,0,0,0\n",
    "dailydialog.tsv": "Rain , Jim ? __eou__ Yes , Bo . __eou__\n" * 2,
}
PERSONA = {
    "train": [
        {
            "personality": ["I like rain."],
            "utterances": [{"candidates": ["No.", "Yes."], "history": ["Rain?"]}],
        }
    ]
}
EXPECTED: dict[str, tuple[list[list[str]], dict[str, int]]] = {
    "triage.csv": ([["Department: Surgery\nMay I run?", "Not yet."]], {"where": 2}),
    "intents.jsonl": ([["Money back!", "refund"], ["Where is it?", "delivery"]], {}),
    "translations.jsonl": ([["Translate into French:\ngood day", "bonjour"]], {}),
    "articles.jsonl": ([], {"where": 4, "sample": 2}),
    "forum.jsonl": ([["a", "b"]], {}),
    "cluener.jsonl": ([["王小明在北大", '{"name":"王小明"}']], {}),
    "snips.json": ([["play Halo", '{"song":"Halo"}']], {}),
    "ner.txt": ([["Ada ran", '{"PER":"Ada"}']], {}),
    "conll.jsonl": ([["Ada Bo ran", '{"PER":"Ada Bo"}']], {}),
    "massive.jsonl": ([["wake me at nine", "wake me at <time>nine</time>"]], {}),
    "dygie.jsonl": ([["Ada Bo ran", '{"PER":"Ada Bo"}']], {}),
    "xlam.json": ([["Weather?", ""]], {}),
    "glaive.json": ([["Weather?", ""]], {}),
    "hermes.json": ([["Weather?", ""]], {}),
    "support.csv": ([["Rain?", "Yes."]], {}),
    "oasst.jsonl": ([["Rain?", "Yes."]], {}),
    "soda.jsonl": ([["Rain?", "Yes."]], {}),
    "moss.jsonl": ([["Rain?", "Yes."]], {}),
    "comments.csv": ([["Go!", '["insult","rude"]'], ["Hi!", "[]"]], {}),
    "beavertails.jsonl": ([["Rain?", '["theft"]']], {}),
    "persona.json": ([["I like rain.", "Rain?", "Yes."]], {}),
    "dailydialog.tsv": ([["Rain , Jim ?", "Yes , Bo ."]] * 2, {}),
    "oasst.trees.jsonl": ([["Rain?", "Yes."]], {}),
    "threads.jsonl": ([["Rain?", "Yes."]], {}),
    "firefly.jsonl": ([["Rain?", "Yes."]], {}),
    "guanaco.jsonl": ([["Rain?", "Yes."]], {}),
    "chatml.jsonl": ([["Rain?", "Yes."]], {}),
    "saferlhf.jsonl": ([["Rain?", "Yes."]], {}),
    "shp.jsonl": ([["Rain?", "Yes."]], {}),
    "ultrachat.jsonl": ([["Rain?", "Yes.", "Sure?", "Yes!"]], {}),
    "lccc.json": ([["Rain?", "Yes."]] * 2, {}),
    "arena.jsonl": ([["Rain?", "Yes."]], {"where": 1}),
    "toolace.json": ([["Weather?", '[weather(city="Bern")]', "[{}]", "It is cold."]], {}),
}
"""Texts of the records, and the numbers of rows that settings leave out, for each file."""

SECTIONS = [
    YAML(typ="safe", pure=True).load(text).get("prepare", {})
    for page in ("docs/data.md", "docs/formats.md")
    for text in list_blocks(page, "yaml")
]
FRAGMENTS = [
    section
    for section in SECTIONS
    if EXPECTED.keys() & {source["path"] for source in section.get("sources", ())}
]


def test_every_file_is_read_by_a_fragment() -> None:
    paths = [source["path"] for fragment in FRAGMENTS for source in fragment["sources"]]
    assert sorted(paths) == sorted(EXPECTED)


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda f: f["sources"][0]["path"])
def test_a_fragment_reads_its_file(tmp_path: Path, fragment: dict[str, Any]) -> None:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "lccc.json").write_text(json.dumps(LCCC))
    (tmp_path / "persona.json").write_text(json.dumps(PERSONA))
    for name, rows in FILES.items():
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    params = make_params(
        *fragment["sources"], unknown_columns=fragment.get("unknown_columns", "note")
    )
    table, _, reports = source_reading.read_sources(tmp_path, params, seed=7)
    records = [table.load_record(number) for number in range(len(table))]
    for report in reports:
        texts, left_out = EXPECTED[report.source.path]
        found = [
            [message["content"] for message in record.messages]
            for record in records
            if record.source == report.source.name
        ]
        assert report.left_out == left_out
        assert report.unknown_columns == []
        assert found == texts or (not texts and len(found) == 2)
    for record in records:
        if not record.messages[-1]["content"]:
            assert record.messages[-1]["tool_calls"][0]["function"] == CALL
            assert record.tools[0]["function"]["parameters"]["type"] == "object"
    if "meta.channel" in fragment["sources"][0].get("slices", ()):
        assert [record.slices for record in records] == [
            {"meta.channel": "mail"}, {"meta.channel": ""},
        ]  # fmt: skip
