"""The sample corpus has its generator's bytes; the starter's text has no test prompt."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy import sparse

from lockstep import params, records
from lockstep.data import near_duplicates, ngrams
from lockstep.data.normalized_texts import normalize_texts
from lockstep.records import Record
from tests.conftest import REPOSITORY

DATA = REPOSITORY / "data"
LANGUAGES = ["en", "zh"]
BROKEN = {
    "intent.csv": [402, 911, 1377],
    "slots.jsonl": [187, 260],
    "replies.jsonl": [78, 203, 341],
    "preferences.jsonl": [97, 228],
}
THRESHOLD = params.parse(REPOSITORY / "params.yaml")["prepare"]["duplicates"]["threshold"]
"""Minimum similarity of near-duplicates."""


@pytest.fixture(scope="module")
def starter_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Content of the file on which the starter is pre-trained."""
    path = tmp_path_factory.mktemp("starter") / "text.jsonl"
    command = [sys.executable, str(DATA / "sample/starter_text.py"), str(path)]
    subprocess.run(command, check=True)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def documents(starter_text: str) -> list[str]:
    """Documents on which the starter is pre-trained."""
    return ["\n".join(json.loads(line)["turns"]) for line in starter_text.rstrip("\n").split("\n")]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    """Train, validation and test records that `prepare` makes of data/raw."""
    out = tmp_path_factory.mktemp("splits") / "prepared"
    subprocess.run(
        [sys.executable, "-m", "stages.prepare", "data/raw", str(out)], cwd=REPOSITORY, check=True
    )
    return {
        split: list(records.read(out / f"{split}.jsonl"))
        for split in ("train", "validation", "test")
    }


@pytest.fixture(scope="module")
def prompts(splits: dict[str, list[Record]]) -> list[str]:
    """User messages of all test records: all of a record's together, and each by itself."""
    texts = {record.user_text: None for record in splits["test"]}
    for record in splits["test"]:
        texts |= {turn["content"]: None for turn in record.messages if turn["role"] == "user"}
    return list(texts)


def read_yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((DATA / "sample" / name).read_text("utf-8"))


def read_rows(name: str) -> list[Any]:
    """Return the rows of a raw file without the broken rows."""
    text = (DATA / "raw" / name).read_text("utf-8")
    if name.endswith(".json"):
        rows: list[Any] = json.loads(text)
        return rows
    lines = text.splitlines()
    valid = [line for at, line in enumerate(lines, 1) if at not in BROKEN.get(name, [])]
    return list(csv.DictReader(valid)) if name.endswith(".csv") else [json.loads(s) for s in valid]


def read_raw_files(folder: Path) -> dict[str, bytes]:
    """Map the path of each file in raw/ to its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "raw").iterdir()
        if path.name != ".gitignore"
    }


def normalize(text: str) -> str:
    """Return the letters and digits of a text as near-duplicates are compared; digits are 0."""
    return normalize_texts([text]).drop_signs().equate_digits().codes.tobytes().decode("utf-32-le")


def find_near_prompts(prompts: list[str], documents: list[str]) -> list[tuple[str, str]]:
    """Return each prompt that is a near-duplicate of a part of a document, with the document.

    A part is up to four consecutive sentences. Its n-grams are n-grams of the document, so only a
    document that contains a share THRESHOLD of the prompt's n-grams can have a near-duplicate.
    """
    size = 20_000  # documents at a time, for memory
    parts = [documents[start : start + size] for start in range(0, len(documents), size)]
    return [pair for part in parts for pair in find_near_prompts_of_part(prompts, part)]


def find_near_prompts_of_part(prompts: list[str], documents: list[str]) -> list[tuple[str, str]]:
    """Do what `find_near_prompts` does for documents that fit into memory together."""
    unique, shared = np.unique(hash_ngrams(prompts).hashes, return_inverse=True)
    counts = count_ngrams(hash_ngrams(prompts).offsets, shared, len(unique))
    of_documents = hash_ngrams(documents)
    position = np.minimum(np.searchsorted(unique, of_documents.hashes), len(unique) - 1)
    is_shared = unique[position] == of_documents.hashes
    ends = np.concatenate([[0], np.cumsum(is_shared)])[of_documents.offsets]
    overlap = counts @ count_ngrams(ends, position[is_shared], len(unique)).T
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    overlap = overlap.tocoo()
    is_candidate = overlap.data >= THRESHOLD * sizes[overlap.row]
    return [
        (prompts[row], documents[column])
        for row, column in zip(overlap.row[is_candidate], overlap.col[is_candidate], strict=True)
        if near_duplicates.find_near_texts(
            [prompts[row]], list(list_parts(documents[column])), THRESHOLD
        )
    ]


def hash_ngrams(texts: list[str]) -> ngrams.NGrams:
    normalized = normalize_texts(texts).drop_signs().equate_digits()
    return ngrams.hash_character_ngrams(normalized, near_duplicates.NGRAM_LENGTH)


def count_ngrams(offsets: Any, indices: Any, width: int) -> Any:
    """Return which n-grams each text has, as zeros and ones: (texts, width)."""
    shape = (len(offsets) - 1, width)
    matrix = sparse.csr_matrix((np.ones(len(indices), np.int32), indices, offsets), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def list_parts(document: str) -> Iterator[str]:
    """Yield a document, its lines, and all runs of one to four sentences of a line."""
    yield document
    for line in document.split("\n"):
        yield line
        sentences = re.split(r"(?<=[.?!])\s+|(?<=[。？！])", line)
        for begin in range(len(sentences)):
            for end in range(begin + 1, min(begin + 4, len(sentences)) + 1):
                yield " ".join(sentences[begin:end])


def expand_template(template: str) -> list[str]:
    """Return a template once for each choice of its alternatives, with # for each value."""
    template = re.sub(r"\{\w+\}", "#", template.removeprefix("~ "))
    parts = re.split(r"\{([^{}]*)\}", template)
    options = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(choice) for choice in product(*options)]


def build_mask(language: str) -> Callable[[str], str]:
    """Return a function that replaces numbers and values of the vocabulary by #."""
    vocabulary = read_yaml("vocabulary.yaml")[language]
    kinds = ("product", "colour", "size", "city", "day", "quantity")
    words = {word.casefold() for kind in kinds for word in vocabulary[kind]}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    pattern = re.compile("|".join([r"\d+", *map(re.escape, longest_first)]))
    return lambda text: pattern.sub("#", text.casefold())


def test_generating_gives_the_committed_bytes(tmp_path: Path) -> None:
    command = [sys.executable, str(DATA / "sample/generate.py"), str(tmp_path)]
    environment = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0"}
    subprocess.run(command, check=True, env=os.environ | environment)
    generated, committed = read_raw_files(tmp_path), read_raw_files(DATA)
    assert committed.keys() - generated.keys() == {"raw/behaviour.jsonl"}
    for name, content in generated.items():
        assert content == committed.get(name), f"generate.py writes other bytes to {name}"
    readme = Path("sample/README.md")
    assert (tmp_path / readme).read_bytes() == (DATA / readme).read_bytes(), (
        "README.md is outdated; run generate.py"
    )


def test_the_readme_counts_the_rows_of_all_files() -> None:
    readme = (DATA / "sample/README.md").read_text("utf-8")
    counts_in_readme = dict(re.findall(r"^\| (\w+/\S+) \| ([\d,]+) \|", readme, flags=re.MULTILINE))
    assert counts_in_readme.keys() == read_raw_files(DATA).keys()
    assert counts_in_readme["raw/intent.csv"] == "8,469"
    for name, count in counts_in_readme.items():
        text = (DATA / name).read_text("utf-8")
        match Path(name).suffix:
            case ".csv":
                rows = list(csv.DictReader(text.splitlines()))
            case ".json":
                rows = json.loads(text)
            case _:
                rows = text.splitlines()
        assert count == f"{len(rows):,}", name


def test_intents_are_uneven_and_bilingual() -> None:
    counts = Counter(row["intent"] for row in read_rows("intent.csv"))
    assert len(counts) == 16
    assert min(counts.values()) >= 480
    assert 1.5 <= max(counts.values()) / min(counts.values()) <= 2
    assert sorted([*counts, "out_of_scope"]) == json.loads((DATA / "raw/labels.json").read_text())
    languages = Counter(row["language"] for row in read_rows("intent.csv"))
    assert abs(languages["en"] - languages["zh"]) < 40
    assert {row["phrasing"] for row in read_rows("intent.csv")} == {"seen"}
    assert {row["difficulty"] for row in read_rows("intent.csv")} == {"easy", "hard"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_intent_has_84_seen_and_12_unseen_templates(language: str) -> None:
    for intent, blocks in read_yaml(f"intents.{language}.yaml").items():
        counts = {name: len(block.splitlines()) for name, block in blocks.items()}
        assert counts == {"seen": 84, "unseen": 12}, intent


@pytest.mark.parametrize("language", LANGUAGES)
def test_seen_and_unseen_templates_are_disjoint(language: str) -> None:
    """Templates that differ only in numbers and values count as equal."""
    mask = build_mask(language)
    places: dict[str, set[tuple[str, str]]] = {}
    for intent, blocks in read_yaml(f"intents.{language}.yaml").items():
        for name, block in blocks.items():
            templates = block.splitlines()
            assert len(set(templates)) == len(templates), f"{intent}: {name}"
            for text in {text for template in templates for text in expand_template(template)}:
                places.setdefault(mask(text), set()).add((intent, name))
    assert {text: found for text, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_unseen_templates_occur_only_in_the_unseen_file(language: str, starter_text: str) -> None:
    mask = build_mask(language)
    texts = {name: mask(content.decode()) for name, content in read_raw_files(DATA).items()}
    texts["starter"] = mask(starter_text)
    unseen = texts.pop("raw/intent_unseen.csv")
    for blocks in read_yaml(f"intents.{language}.yaml").values():
        for template in blocks["unseen"].splitlines():
            expansions = [mask(text) for text in expand_template(template)]
            assert any(text in unseen for text in expansions), template
            for text in expansions:
                assert [name for name, other in texts.items() if text in other] == [], template


@pytest.mark.parametrize("language", LANGUAGES)
def test_rows_come_from_the_seen_templates_of_their_intent(language: str) -> None:
    """Rows of another file would not be found, so the test of unseen templates can fail."""
    mask = build_mask(language)
    templates = {
        intent: [
            mask(text)
            for template in blocks["seen"].splitlines()
            for text in expand_template(template)
        ]
        for intent, blocks in read_yaml(f"intents.{language}.yaml").items()
    }
    rows = [row for row in read_rows("intent.csv") if row["language"] == language]
    found = [any(text in mask(row["text"]) for text in templates[row["intent"]]) for row in rows]
    assert sum(found) > 0.98 * len(rows), "all but the dirty ones"


def test_paraphrases_are_evenly_divided_and_for_training_only(
    splits: dict[str, list[Record]],
) -> None:
    rows = read_rows("intent_paraphrases.csv")
    counts = Counter((row["intent"], row["language"]) for row in rows)
    assert len(counts) == 32
    assert set(counts.values()) == {28}
    assert {row["phrasing"] for row in rows} == {"paraphrase"}
    for split in splits:
        sources = {record.origin.split(":")[0] for record in splits[split]}
        assert ("intent_paraphrases.csv" in sources) is (split == "train")


def test_each_intent_has_24_unseen_rows() -> None:
    unseen = read_rows("intent_unseen.csv")
    assert set(Counter((row["intent"], row["language"]) for row in unseen).values()) == {12}
    assert len({row["text"] for row in unseen}) == len(unseen) == 384
    assert {row["phrasing"] for row in unseen} == {"unseen"}


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        ("intent.csv", {"core"}),
        ("intent_unseen.csv", {"core"}),
        ("intent_paraphrases.csv", {"core"}),
        ("slots.jsonl", {"core"}),
        ("replies.jsonl", {"core"}),
        ("out_of_domain.json", {"near", "outside"}),
        ("adversarial.jsonl", {"near"}),
        ("safety.jsonl", {"near"}),
    ],
)
def test_domain_says_how_close_a_row_is_to_the_shop(name: str, domains: set[str]) -> None:
    assert {row["domain"] for row in read_rows(name)} == domains


def test_every_slot_value_occurs_in_the_input() -> None:
    assert len(read_rows("slots.jsonl")) == 1200 + 8 + 5, "with duplicates and near-duplicates"
    for row in read_rows("slots.jsonl"):
        slots = json.loads(row["output"])
        assert 1 <= len(slots) <= 5
        assert set(slots) <= {"order", "product", "colour", "size", "city", "day", "quantity"}
        assert all(value in row["input"] for value in slots.values()), row
        compact = json.dumps(slots, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert row["output"] == compact


def test_replies_alternate_roles_and_one_in_five_has_two_questions() -> None:
    turns = []
    for row in read_rows("replies.jsonl"):
        roles = [turn["role"] for turn in row["messages"] if turn["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        turns.append(len(roles) // 2)
    assert len(turns) == 1600 + 6 + 5, "with duplicates and near-duplicates"
    assert set(turns) == {1, 2}
    assert 0.17 < turns.count(2) / len(turns) < 0.23


def test_every_reply_ends_with_the_policy_of_its_system_message() -> None:
    for row in read_rows("replies.jsonl"):
        system, *turns = row["messages"]
        assert system["role"] == "system"
        for answer in turns[1::2]:
            _, policy = re.split(r"(?<=[.。])\s*", answer["content"], maxsplit=1)
            assert system["content"].endswith(policy), answer


def test_out_of_domain_questions_are_distinct_and_bilingual() -> None:
    rows = read_rows("out_of_domain.json")
    assert len({row["text"] for row in rows}) == len(rows) == 320
    assert {row["intent"] for row in rows} == {"out_of_scope"}
    counts = Counter((row["domain"], row["language"]) for row in rows)
    assert counts == {
        (d, lang): n for d, n in (("outside", 100), ("near", 60)) for lang in LANGUAGES
    }


def test_attacks_are_distinct_and_bilingual() -> None:
    rows = read_rows("adversarial.jsonl")
    assert len({row["prompt"] for row in rows}) == len(rows) == 160
    assert Counter(row["language"] for row in rows) == {"en": 80, "zh": 80}


def test_preferences_score_the_better_reply_higher() -> None:
    pairs = read_rows("preferences.jsonl")
    assert len(pairs) == 320
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)
    assert all(pair["chosen_score"] > pair["rejected_score"] for pair in pairs)
    assert set(Counter(pair["reject_reason"] for pair in pairs).values()) == {64}


def test_more_than_half_of_the_safety_prompts_are_refused_in_each_language() -> None:
    answers = {language: read_yaml("safety.yaml")[language]["answers"] for language in LANGUAGES}
    rows = read_rows("safety.jsonl")
    assert len({row["prompt"] for row in rows}) == len(rows) == 2396
    kinds = [
        (row["language"], kind)
        for row in rows
        for kind, texts in answers[row["language"]].items()
        if row["completion"] in texts
    ]
    counts = {"refusal": 694, "answer": 504}
    assert Counter(kinds) == {(lang, kind): counts[kind] for lang in LANGUAGES for kind in counts}


def test_refusals_have_as_many_safe_as_unsafe_prompts_in_each_language() -> None:
    rows = read_rows("refusals.csv")
    assert len({row["text"] for row in rows}) == len(rows) == 240
    counts = Counter((row["language"], row["label"]) for row in rows)
    assert counts == {(lang, label): 60 for lang in LANGUAGES for label in ("safe", "unsafe")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_template_of_the_refusals_is_one_of_safety(language: str) -> None:
    blocks = read_yaml("safety.yaml")[language]
    train, test = (
        {
            normalize(text)
            for block in blocks[split].values()
            for template in block.splitlines()
            for text in expand_template(template)
        }
        for split in ("train", "test")
    )
    assert len(train) >= 334 and len(test) >= 120
    assert train & test == set()


def test_no_test_prompt_is_a_training_prompt(splits: dict[str, list[Record]]) -> None:
    """No answer of the test split can be had by copying the answer of an equal prompt."""
    test = {normalize(record.user_text): record for record in splits["test"]}
    assert len(test) > 1500
    seen = {normalize(r.user_text) for split in ("train", "validation") for r in splits[split]}
    assert [record.user_text for text, record in test.items() if text in seen] == []


def test_starter_text_contains_no_label_and_no_chat_markup(starter_text: str) -> None:
    assert 24_000_000 <= len(starter_text.encode()) < 24_010_000
    lines = starter_text.rstrip("\n").split("\n")
    assert all(set(json.loads(line)) == {"turns"} for line in lines)
    assert len(set(lines)) == len(lines)
    labels = json.loads((DATA / "raw/labels.json").read_text("utf-8"))
    assert [text for text in [*labels, "<|", "|>"] if text in starter_text] == []


def test_starter_text_contains_no_test_prompt(prompts: list[str], documents: list[str]) -> None:
    """Case does not matter."""
    content = "\n".join(documents).casefold()
    assert len(prompts) > 1600
    assert [prompt for prompt in prompts if prompt.casefold() in content] == []


def test_starter_text_contains_no_near_duplicate_of_a_test_prompt(
    prompts: list[str], documents: list[str]
) -> None:
    assert find_near_prompts(prompts, documents) == []


@pytest.mark.parametrize(
    "edit",
    [
        str.upper,
        lambda text: re.sub(r"\d", "1", text),
        lambda text: text.rstrip(".?。？") + "!",
        lambda text: f"Hello. {text.rstrip('.?。？')}. Bye.",
    ],
    ids=["case", "digits", "mark", "context"],
)
def test_a_near_duplicate_in_the_text_would_be_found(
    prompts: list[str], documents: list[str], edit: Callable[[str], str]
) -> None:
    prompts = prompts[:200]
    pairs = zip(documents[: len(prompts)], prompts, strict=True)
    planted = [f"{document}\n{edit(prompt)}" for document, prompt in pairs]
    found = {prompt for prompt, _ in find_near_prompts(prompts, planted)}
    assert [prompt for prompt in prompts if prompt not in found] == []


def test_starter_text_contains_no_prompt_with_its_answer(
    splits: dict[str, list[Record]], documents: list[str]
) -> None:
    """No document holds the question and the answer of a test record, whatever their case,
    punctuation and spaces."""
    normalized = [normalize(document) for document in documents]
    content = "\n".join(normalized)
    pairs = [(normalize(r.question), normalize(r.answer), r) for r in splits["test"]]
    candidates = [pair for pair in pairs if pair[0] in content]
    assert [
        record.origin
        for question, answer, record in candidates
        if any(question in document and answer in document for document in normalized)
    ] == []


def test_starter_text_contains_no_reply_of_the_corpus(documents: list[str]) -> None:
    def mask_digits(text: str) -> str:
        return re.sub(r"\d+", "0", text)

    content = mask_digits("\n".join(documents))
    turns = [turn for row in read_rows("replies.jsonl") for turn in row.get("messages", [])]
    answers = {mask_digits(turn["content"]) for turn in turns if turn.get("role") == "assistant"}
    assert len(answers) > 200
    assert [answer for answer in answers if answer and answer in content] == []


@pytest.mark.parametrize(
    ("name", "duplicates"), [("intent.csv", 16), ("slots.jsonl", 8), ("replies.jsonl", 6)]
)
def test_the_number_of_exact_duplicates_is_as_stated(name: str, duplicates: int) -> None:
    rows = [json.dumps(row, sort_keys=True) for row in read_rows(name)]
    assert len(rows) - len(set(rows)) == duplicates


def test_broken_rows_are_where_the_readme_says() -> None:
    readme = (DATA / "sample/README.md").read_text("utf-8")
    listed = re.findall(r"^\| (\S+):(\d+) \| (.+) \|$", readme, flags=re.MULTILINE)
    broken = read_yaml("dirt.yaml")["broken"]
    assert [(row["file"], str(row["line"]), row["reason"]) for row in broken] == listed
    assert {(name, line) for name in BROKEN for line in BROKEN[name]} == {
        (row["file"], row["line"]) for row in broken
    }
    for row in broken:
        lines = (DATA / "raw" / row["file"]).read_text("utf-8").splitlines()
        assert lines[row["line"] - 1] == row["row"]


def test_synonyms_are_bilingual_and_no_word_is_its_own_synonym() -> None:
    entries = [line.split("\t") for line in (DATA / "synonyms.tsv").read_text("utf-8").splitlines()]
    assert len({(language, word) for language, word, _ in entries}) == len(entries)
    assert all(count >= 55 for count in Counter(entry[0] for entry in entries).values())
    assert all(word not in others.split(",") for _, word, others in entries)
