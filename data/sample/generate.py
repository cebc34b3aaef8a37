"""Write the sample corpus (data/raw and README.md) from the templates in this folder."""

import csv
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import readme
from dirt import make_dirty
from phrasing import (
    FOLDER,
    LANGUAGES,
    VOCABULARY,
    HashRandom,
    Row,
    capitalize,
    end_sentence,
    fill_template,
    make_distinct_rows,
    parse_templates,
    read_yaml,
    to_compact_json,
    to_json_line,
    write_utterance,
)

COLUMNS = ["text", "intent", "language", "difficulty", "domain", "phrasing"]
INTENTS = {language: read_yaml(f"intents.{language}.yaml") for language in LANGUAGES}
REPLIES = read_yaml("replies.yaml")
PARAPHRASES_PER_INTENT = 28  # in each language
SAFETY_ROWS_PER_GRAMMAR = {"unsafe": 11, "safe": 7}  # of `background`: when in doubt, refuse


def make_intents(
    rng: HashRandom, phrasing: str, counts: dict[str, int], is_skewed: bool = False
) -> list[Row]:
    """Return counts[intent] rows of each intent, half of them in each language.

    If `is_skewed`, some templates occur much more often than others, as the phrasings of real
    customers do; otherwise all occur equally often.
    """

    def make_row(number: int) -> Row:
        index = number % len(templates)
        if is_skewed:
            index = rng.draw_below(1 + rng.draw_below(len(templates)))
        difficulty, template = templates[index]
        text = write_utterance(difficulty, template, rng, VOCABULARY[language])
        values = (text, intent, language, difficulty, "core", phrasing)
        return dict(zip(COLUMNS, values, strict=True))

    rows = []
    for intent, count in counts.items():
        for language in LANGUAGES:
            templates = rng.shuffle(parse_templates(INTENTS[language][intent][phrasing]))
            rows += make_distinct_rows(count // 2, make_row)
    return rng.shuffle(rows)


def make_paraphrases(rng: HashRandom, intents: Iterable[str]) -> list[Row]:
    """Return rows of each intent from the grammars of paraphrases.*.yaml, for training only.

    The starter's text has sentences of these grammars without their intents.
    """

    def make_row(number: int) -> Row:
        difficulty, template = templates[number % len(templates)]
        text = write_utterance(difficulty, template, rng, VOCABULARY[language])
        values = (text, intent, language, difficulty, "core", "paraphrase")
        return dict(zip(COLUMNS, values, strict=True))

    rows = []
    for language in LANGUAGES:
        grammars = read_yaml(f"paraphrases.{language}.yaml")
        for intent in intents:
            templates = parse_templates(grammars[intent])
            rows += make_distinct_rows(PARAPHRASES_PER_INTENT, make_row)
    return rng.shuffle(rows)


def make_out_of_domain(rng: HashRandom) -> list[Row]:
    """Return questions that a shop does not answer, labelled as out of scope.

    Those of the domain `near` are for other services, those of `outside` have nothing to do with
    shops.
    """

    def make_row(number: int) -> Row:
        difficulty, template = templates[number % len(templates)]
        text = capitalize(fill_template(template, rng, phrasings["fillers"], {}))
        values = (text, "out_of_scope", language, difficulty, domain, "seen")
        return dict(zip(COLUMNS, values, strict=True))

    rows, by_language = [], read_yaml("out_of_domain.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        for domain, count in {"outside": 100, "near": 60}.items():
            templates = parse_templates(phrasings[domain])
            rows += make_distinct_rows(count, make_row)
    return rng.shuffle(rows)


def make_slots(rng: HashRandom) -> list[Row]:
    """Return sentences with their slots as JSON."""

    def make_row(number: int) -> Row:
        slots: dict[str, str] = {}
        difficulty, template = templates[number % len(templates)]
        text = fill_template(template, rng, VOCABULARY[language], slots)
        output = to_compact_json(slots)
        row = {"instruction": phrasings["instruction"], "input": text, "output": output}
        return row | {"language": language, "difficulty": difficulty, "domain": "core"}

    rows, by_language = [], read_yaml("slots.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        templates = parse_templates(phrasings["frames"])
        rows += make_distinct_rows(600, make_row)
    return rng.shuffle(rows)


def make_replies(rng: HashRandom) -> list[Row]:
    """Return conversations in which the agent follows the policy; one in five has two questions."""

    def make_row(number: int) -> Row:
        language, number = LANGUAGES[number % 2], number // 2
        phrasings = REPLIES[language]
        topics = list(phrasings["topics"].values())
        topic = topics[number % len(topics)]
        rules = phrasings["role"] + (" " if language == "en" else "") + topic["policy"]
        turns = [("system", [rules]), ("user", topic["ask"]), ("assistant", topic["reply"])]
        if multi_turn := number % 5 == 4:
            turns += [("user", topic["follow"] + phrasings["again"])]
            turns += [("assistant", topic["follow_reply"])]
        values: dict[str, str] = {}
        messages = []
        for role, templates in turns:
            text = fill_template(rng.choose(templates), rng, VOCABULARY[language], values)
            messages.append({"role": role, "content": text})
        difficulty = "hard" if multi_turn else "easy"
        slices = {"language": language, "difficulty": difficulty, "domain": "core"}
        return {"messages": messages, **slices}

    return rng.shuffle(make_distinct_rows(1600, make_row))


def make_preferences(rng: HashRandom) -> list[Row]:
    """Return preference pairs: a reply by the policy, and a worse one with the reason."""
    faults = read_yaml("preferences.yaml")
    scores = faults["scores"]

    def make_row(number: int) -> Row:
        reason = list(scores)[number % len(scores)]
        language, other = LANGUAGES[number % 2], LANGUAGES[1 - number % 2]
        values: dict[str, str] = {}
        topics = REPLIES[language]["topics"]
        name = list(topics)[number // 2 % len(topics)]
        vocabulary, topic = VOCABULARY[language], topics[name]
        prompt = fill_template(rng.choose(topic["ask"]), rng, vocabulary, values)
        chosen = fill_template(rng.choose(topic["reply"]), rng, vocabulary, values)
        values["reply"] = chosen
        if reason == "ignores_policy":
            rejected = topic["wrong"]
        elif reason == "wrong_language":
            rejected = rng.choose(REPLIES[other]["topics"][name]["reply"])
        else:
            rejected = rng.choose(faults[language][reason])
        return {
            "prompt": prompt,
            "chosen": chosen,
            "rejected": fill_template(rejected, rng, vocabulary, values),
            "chosen_score": 4 + rng.draw_below(2),
            "rejected_score": scores[reason],
            "reject_reason": reason,
            "language": language,
        }

    return rng.shuffle(make_distinct_rows(320, make_row))


def make_adversarial(rng: HashRandom) -> list[Row]:
    """Return attacks, each with a polite refusal."""
    rows = []
    for language, phrasings in read_yaml("adversarial.yaml").items():
        for attack, prompts in phrasings["attacks"].items():
            for prompt in prompts:
                text = fill_template(prompt, rng, VOCABULARY[language], {})
                row = {"prompt": text, "completion": rng.choose(phrasings["refusal"])}
                slices = {"language": language, "difficulty": "hard", "domain": "near"}
                rows.append(row | {"attack": attack, **slices})
    return rng.shuffle(rows)


def make_safety(rng: HashRandom) -> list[Row]:
    """Return unsafe prompts with a refusal and safe prompts with an answer, for training."""

    def make_row(number: int) -> Row:
        difficulty, template = templates[number % len(templates)]
        text = end_sentence(capitalize(fill_template(template, rng, phrasings["fillers"], {})))
        completion = rng.choose(answers)
        slices = {"language": language, "difficulty": difficulty, "domain": "near"}
        return {"prompt": text, "completion": completion, **slices}

    rows, by_language = [], read_yaml("safety.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        for label, part in {"unsafe": "refusal", "safe": "answer"}.items():
            answers = phrasings["answers"][part]
            templates = parse_templates(phrasings["train"][label])
            grammars = parse_templates(phrasings["background"][label])
            templates += SAFETY_ROWS_PER_GRAMMAR[label] * grammars
            rows += make_distinct_rows(len(templates), make_row)
    return rng.shuffle(rows)


def make_refusals(rng: HashRandom) -> list[Row]:
    """Return unsafe and safe prompts of other templates, for testing."""

    def make_row(number: int) -> Row:
        _, template = templates[number % len(templates)]
        text = end_sentence(capitalize(fill_template(template, rng, phrasings["fillers"], {})))
        return {"text": text, **labels}

    rows = []
    for language, phrasings in read_yaml("safety.yaml").items():
        for label, block in phrasings["test"].items():
            templates, labels = parse_templates(block), {"label": label, "language": language}
            rows += make_distinct_rows(60, make_row)
    return rng.shuffle(rows)


def to_csv_lines(rows: list[Row]) -> list[str]:
    """Return the header and the rows of a CSV file, line by line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()


def main(out: Path) -> None:
    """Write all files below `out`: raw/ and sample/README.md."""
    counts, dirt = read_yaml("intents.yaml"), read_yaml("dirt.yaml")
    rows_by_path = {
        "raw/intent.csv": make_intents(HashRandom("intent"), "seen", counts, is_skewed=True),
        "raw/intent_unseen.csv": make_intents(
            HashRandom("unseen"), "unseen", dict.fromkeys(counts, 24)
        ),
        "raw/intent_paraphrases.csv": make_paraphrases(HashRandom("paraphrases"), counts),
        "raw/slots.jsonl": make_slots(HashRandom("slots")),
        "raw/replies.jsonl": make_replies(HashRandom("replies")),
        "raw/adversarial.jsonl": make_adversarial(HashRandom("adversarial")),
        "raw/preferences.jsonl": make_preferences(HashRandom("preferences")),
        "raw/safety.jsonl": make_safety(HashRandom("safety")),
        "raw/refusals.csv": make_refusals(HashRandom("refusals")),
    }
    contents = {}
    for path, rows in rows_by_path.items():
        name = Path(path).name
        if name in dirt:
            make_dirty(rows, name, dirt[name])
        lines = to_csv_lines(rows) if name.endswith(".csv") else list(map(to_json_line, rows))
        for broken in dirt["broken"]:
            if broken["file"] == name:
                lines.insert(broken["line"] - 1, broken["row"])
        contents[path] = "\n".join(lines)
    contents["raw/labels.json"] = json.dumps(sorted([*counts, "out_of_scope"]), indent=2)
    contents["raw/out_of_domain.json"] = json.dumps(
        make_out_of_domain(HashRandom("out of domain")),
        ensure_ascii=False, indent=1, sort_keys=True,
    )  # fmt: skip
    contents["sample/README.md"] = readme.render(contents, counts, INTENTS, dirt)
    for path, content in contents.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(f"{content}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER.parent)
