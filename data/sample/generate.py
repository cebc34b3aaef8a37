"""Write the sample corpus (data/raw, data/starter, README.md) from the templates in this folder."""

import csv
import io
import json
import sys
from pathlib import Path

import readme
from dirt import make_dirty
from phrasing import (
    FOLDER,
    HashRandom,
    Row,
    capitalize,
    fill_template,
    make_distinct_rows,
    parse_templates,
    read_yaml,
    write_utterance,
)

LANGUAGES = ["en", "zh"]
COLUMNS = ["text", "intent", "language", "difficulty", "phrasing"]
STARTER_BYTES = 1_300_000
VOCABULARY = read_yaml("vocabulary.yaml")
INTENTS = {language: read_yaml(f"intents.{language}.yaml") for language in LANGUAGES}
REPLIES = read_yaml("replies.yaml")
TEXT = read_yaml("text.yaml")
for words in VOCABULARY.values():
    words["order"] = [str(number) for number in range(1000, 10000)]


def make_intents(rng: HashRandom, phrasing: str, counts: dict[str, int]) -> list[Row]:
    """Return counts[intent] rows of each intent, half of them in each language."""

    def make_row(number: int) -> Row:
        difficulty, template = templates[number % len(templates)]
        text = write_utterance(difficulty, template, rng, VOCABULARY[language])
        values = (text, intent, language, difficulty, phrasing)
        return dict(zip(COLUMNS, values, strict=True))

    rows = []
    for intent, count in counts.items():
        for language in LANGUAGES:
            templates = parse_templates(INTENTS[language][intent][phrasing])
            rows += make_distinct_rows(count // 2, make_row)
    return rng.shuffle(rows)


def make_out_of_domain(rng: HashRandom) -> list[Row]:
    """Return questions that a shop does not answer, labelled as out of scope."""

    def make_row(number: int) -> Row:
        difficulty, template = templates[number % len(templates)]
        text = capitalize(fill_template(template, rng, phrasings["fillers"], {}))
        values = (text, "out_of_scope", language, difficulty, "seen")
        return dict(zip(COLUMNS, values, strict=True))

    rows, by_language = [], read_yaml("out_of_domain.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        templates = parse_templates(phrasings["templates"])
        rows += make_distinct_rows(110, make_row)
    return rng.shuffle(rows)


def make_slots(rng: HashRandom) -> list[Row]:
    """Return sentences with their slots as JSON."""

    def make_row(number: int) -> Row:
        slots: dict[str, str] = {}
        difficulty, template = templates[number % len(templates)]
        text = fill_template(template, rng, VOCABULARY[language], slots)
        output = to_compact_json(slots)
        row = {"instruction": phrasings["instruction"], "input": text, "output": output}
        return row | {"language": language, "difficulty": difficulty}

    rows, by_language = [], read_yaml("slots.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        templates = parse_templates(phrasings["frames"])
        rows += make_distinct_rows(252, make_row)
    return rng.shuffle(rows)


def make_replies(rng: HashRandom) -> list[Row]:
    """Return conversations in which the agent follows the policy; one in five has two questions."""

    def make_row(number: int) -> Row:
        language, number = LANGUAGES[number % 2], number // 2
        role, topics = REPLIES[language]["role"], list(REPLIES[language]["topics"].values())
        values: dict[str, str] = {}
        topic = topics[number % len(topics)]
        turns = [("user", "ask"), ("assistant", "reply")]
        if multi_turn := number % 5 == 4:
            turns += [("user", "follow"), ("assistant", "follow_reply")]
        messages = []
        for speaker, part in turns:
            text = fill_template(rng.choose(topic[part]), rng, VOCABULARY[language], values)
            messages.append({"role": speaker, "content": text})
        if rng.draw_below(2):
            rules = role + (" " if language == "en" else "") + topic["policy"]
            messages.insert(0, {"role": "system", "content": rules})
        difficulty = "hard" if multi_turn else "easy"
        return {"messages": messages, "language": language, "difficulty": difficulty}

    return rng.shuffle(make_distinct_rows(416, make_row))


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
                rows.append(row | {"attack": attack, "language": language, "difficulty": "hard"})
    return rng.shuffle(rows)


def make_document(rng: HashRandom, language: str, phrasings: Row) -> str:
    """Return an unlabelled text: utterances, a dialogue, a note, a log, a quote or a paragraph."""
    vocabulary, intents = VOCABULARY[language], list(INTENTS[language].values())
    space = " " if language == "en" else ""
    values: dict[str, str] = {}
    kind = rng.draw_below(28)
    if kind < 7:
        templates = parse_templates(rng.choose(intents)["seen"])
        count = 1 + rng.draw_below(4)
        utterances = (
            write_utterance(*rng.choose(templates), rng, vocabulary) for _ in range(count)
        )
        return space.join(utterances)
    if kind < 11:
        topic = rng.choose(list(REPLIES[language]["topics"].values()))
        ask = fill_template(rng.choose(topic["ask"]), rng, vocabulary, values)
        # the policy instead of a reply: fine-tuning has to teach the replies
        dialogue = {"ask": ask, "reply": topic["policy"]}
        return fill_template(rng.choose(phrasings["ask_agent"]), rng, {}, dialogue)
    if kind < 17:
        return make_note(rng, language, phrasings, intents)
    if kind < 19:
        return make_log(rng, vocabulary)
    if kind < 22:
        template = rng.choose(parse_templates(rng.choose(intents)["seen"]))
        quote = {"utterance": write_utterance(*template, rng, vocabulary)}
        return fill_template(rng.choose(phrasings["quote"]), rng, {}, quote)
    templates = parse_templates(phrasings["shop" if kind < 25 else "life"])
    vocabulary = vocabulary | {"who": phrasings["who"]}
    picked = [rng.choose(templates)[1] for _ in range(2 + rng.draw_below(3))]
    return space.join(capitalize(fill_template(line, rng, vocabulary, {})) for line in picked)


def make_note(rng: HashRandom, language: str, phrasings: Row, intents: list[Row]) -> str:
    """Return a sentence with its values in JSON or in words; without values, the sentence alone."""
    values: dict[str, str] = {}
    block = phrasings["talk"] if rng.draw_below(4) else rng.choose(intents)["seen"]
    template = rng.choose(parse_templates(block))[1]
    sentence = capitalize(fill_template(template, rng, VOCABULARY[language], values))
    english = language == "en"
    if not sentence.endswith((".", "。", "?", "？")):
        sentence += "." if english else "。"
    colon, comma = (": ", ", ") if english else ("：", "，")
    names = [name for name in phrasings["names"] if values.get(name, "\n") in sentence]
    if not names:
        return sentence
    if rng.draw_below(4):
        return sentence + "\n" + to_compact_json({name: values[name] for name in names})
    note = comma.join(phrasings["names"][name] + colon + values[name] for name in names)
    parts = {"sentence": sentence, "note": note}
    return fill_template(rng.choose(phrasings["note"]), rng, {}, parts)


def make_log(rng: HashRandom, vocabulary: dict[str, list[str]]) -> str:
    """Return a log of one to three machine codes, each followed by the same values as JSON."""
    names = rng.shuffle(["order", "product", "colour", "size", "city", "day", "quantity"])
    values = {name: rng.choose(vocabulary[name]) for name in names[: 1 + rng.draw_below(4)]}
    codes = rng.shuffle(TEXT["log"].splitlines())[: 1 + rng.draw_below(3)]
    gap = rng.choose([" ", "\n"])
    return "\n".join(
        f"{fill_template(code, rng, {}, {})}{gap}{to_compact_json(values)}" for code in codes
    )


def make_starter_text(rng: HashRandom) -> list[Row]:
    """Return distinct unlabelled texts until their lines reach STARTER_BYTES."""
    rows: dict[str, Row] = {}
    size = 0
    while size < STARTER_BYTES:
        language = rng.choose(LANGUAGES)
        text = make_document(rng, language, TEXT[language])
        if text not in rows:
            rows[text] = {"text": text}
            size += len(to_json_line(rows[text]).encode()) + 1
    return list(rows.values())


def to_compact_json(values: Row) -> str:
    """Return JSON with sorted keys and no spaces."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def to_json_line(row: Row) -> str:
    """Return a row as one line of a JSON Lines file."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


def to_csv_lines(rows: list[Row]) -> list[str]:
    """Return the header and the rows of a CSV file, line by line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()


def main(out: Path) -> None:
    """Write all files below `out`: raw/, starter/ and sample/README.md."""
    counts, dirt = read_yaml("intents.yaml"), read_yaml("dirt.yaml")
    rows_by_path = {
        "raw/intent.csv": make_intents(HashRandom("intent"), "seen", counts),
        "raw/intent_unseen.csv": make_intents(
            HashRandom("unseen"), "unseen", dict.fromkeys(counts, 20)
        ),
        "raw/slots.jsonl": make_slots(HashRandom("slots")),
        "raw/replies.jsonl": make_replies(HashRandom("replies")),
        "raw/adversarial.jsonl": make_adversarial(HashRandom("adversarial")),
        "raw/preferences.jsonl": make_preferences(HashRandom("preferences")),
        "starter/text.jsonl": make_starter_text(HashRandom("starter")),
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
