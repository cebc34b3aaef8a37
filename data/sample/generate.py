"""Write the sample corpus (data/raw, data/starter) from the phrasings beside this file."""

import csv
import io
import json
import sys
from pathlib import Path

from dirt import soil
from phrasing import HERE, Dice, Row, capitalised, distinct, fill, read, templates, utter

LANGUAGES = ["en", "zh"]
COLUMNS = ["text", "intent", "language", "difficulty", "phrasing"]
STARTER_BYTES = 1_300_000
VOCABULARY = read("vocabulary.yaml")
INTENTS = {language: read(f"intents.{language}.yaml") for language in LANGUAGES}
REPLIES = read("replies.yaml")
TEXT = read("text.yaml")
for words in VOCABULARY.values():
    words["order"] = [str(number) for number in range(1000, 10000)]


def intents(dice: Dice, phrasing: str, counts: dict[str, int]) -> list[Row]:
    """counts[intent] rows, half of them per language, every template in turn."""

    def make(number: int) -> Row:
        difficulty, template = lines[number % len(lines)]
        text = utter(difficulty, template, dice, VOCABULARY[language])
        values = (text, intent, language, difficulty, phrasing)
        return dict(zip(COLUMNS, values, strict=True))

    rows = []
    for intent, count in counts.items():
        for language in LANGUAGES:
            lines = templates(INTENTS[language][intent][phrasing])
            rows += distinct(count // 2, make)
    return dice.shuffle(rows)


def out_of_domain(dice: Dice) -> list[Row]:
    def make(number: int) -> Row:
        difficulty, template = lines[number % len(lines)]
        text = capitalised(fill(template, dice, phrasings["fillers"], {}))
        values = (text, "out_of_scope", language, difficulty, "seen")
        return dict(zip(COLUMNS, values, strict=True))

    rows, by_language = [], read("out_of_domain.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        lines = templates(phrasings["templates"])
        rows += distinct(110, make)
    return dice.shuffle(rows)


def slots(dice: Dice) -> list[Row]:
    def make(number: int) -> Row:
        values: dict[str, str] = {}
        difficulty, template = lines[number % len(lines)]
        text = fill(template, dice, VOCABULARY[language], values)
        output = compact(values)
        row = {"instruction": phrasings["instruction"], "input": text, "output": output}
        return row | {"language": language, "difficulty": difficulty}

    rows, by_language = [], read("slots.yaml")
    for language in LANGUAGES:
        phrasings = by_language[language]
        lines = templates(phrasings["frames"])
        rows += distinct(252, make)
    return dice.shuffle(rows)


def replies(dice: Dice) -> list[Row]:
    def make(number: int) -> Row:
        language, number = LANGUAGES[number % 2], number // 2
        role, topics = REPLIES[language]["role"], list(REPLIES[language]["topics"].values())
        values: dict[str, str] = {}
        topic = topics[number % len(topics)]
        turns = [("user", "ask"), ("assistant", "reply")]
        if multi_turn := number % 5 == 4:
            turns += [("user", "follow"), ("assistant", "follow_reply")]
        messages = []
        for speaker, part in turns:
            text = fill(dice.pick(topic[part]), dice, VOCABULARY[language], values)
            messages.append({"role": speaker, "content": text})
        if dice.below(2):
            rules = role + (" " if language == "en" else "") + topic["policy"]
            messages.insert(0, {"role": "system", "content": rules})
        difficulty = "hard" if multi_turn else "easy"
        return {"messages": messages, "language": language, "difficulty": difficulty}

    return dice.shuffle(distinct(416, make))


def preferences(dice: Dice) -> list[Row]:
    faults = read("preferences.yaml")
    scores = faults["scores"]

    def make(number: int) -> Row:
        reason = list(scores)[number % len(scores)]
        language, other = LANGUAGES[number % 2], LANGUAGES[1 - number % 2]
        values: dict[str, str] = {}
        topics = REPLIES[language]["topics"]
        name = list(topics)[number // 2 % len(topics)]
        vocabulary, topic = VOCABULARY[language], topics[name]
        prompt = fill(dice.pick(topic["ask"]), dice, vocabulary, values)
        chosen = values["reply"] = fill(dice.pick(topic["reply"]), dice, vocabulary, values)
        if reason == "ignores_policy":
            rejected = topic["wrong"]
        elif reason == "wrong_language":
            rejected = dice.pick(REPLIES[other]["topics"][name]["reply"])
        else:
            rejected = dice.pick(faults[language][reason])
        return {
            "prompt": prompt,
            "chosen": chosen,
            "rejected": fill(rejected, dice, vocabulary, values),
            "chosen_score": 4 + dice.below(2),
            "rejected_score": scores[reason],
            "reject_reason": reason,
            "language": language,
        }

    return dice.shuffle(distinct(320, make))


def adversarial(dice: Dice) -> list[Row]:
    rows = []
    for language, phrasings in read("adversarial.yaml").items():
        for attack, prompts in phrasings["attacks"].items():
            for prompt in prompts:
                text = fill(prompt, dice, VOCABULARY[language], {})
                row = {"prompt": text, "completion": dice.pick(phrasings["refusal"])}
                rows.append(row | {"attack": attack, "language": language, "difficulty": "hard"})
    return dice.shuffle(rows)


def document(dice: Dice, language: str, phrasings: Row) -> str:
    """One unlabelled text: utterances, an exchange, a note, a log, a quote or a paragraph."""
    vocabulary, intents = VOCABULARY[language], list(INTENTS[language].values())
    space = " " if language == "en" else ""
    values: dict[str, str] = {}
    kind = dice.below(28)
    if kind < 7:
        lines = templates(dice.pick(intents)["seen"])
        count = 1 + dice.below(4)
        return space.join(utter(*dice.pick(lines), dice, vocabulary) for _ in range(count))
    if kind < 11:
        topic = dice.pick(list(REPLIES[language]["topics"].values()))
        ask = fill(dice.pick(topic["ask"]), dice, vocabulary, values)
        rule = {"ask": ask, "reply": topic["policy"]}  # the replies themselves are to be learnt
        return fill(dice.pick(phrasings["ask_agent"]), dice, {}, rule)
    if kind < 17:
        block = phrasings["talk"] if dice.below(4) else dice.pick(intents)["seen"]
        sentence = capitalised(fill(dice.pick(templates(block))[1], dice, vocabulary, values))
        if not sentence.endswith((".", "。", "?", "？")):
            sentence += "." if space else "。"
        colon, comma = (": ", ", ") if space else ("：", "，")
        told = [name for name in phrasings["names"] if values.get(name, "\n") in sentence]
        if not told:
            return sentence
        if dice.below(4):
            return sentence + "\n" + compact({name: values[name] for name in told})
        note = comma.join(phrasings["names"][name] + colon + values[name] for name in told)
        parts = {"sentence": sentence, "note": note}
        return fill(dice.pick(phrasings["note"]), dice, {}, parts)
    if kind < 19:
        return log(dice, vocabulary)
    if kind < 22:
        said = utter(*dice.pick(templates(dice.pick(intents)["seen"])), dice, vocabulary)
        return fill(dice.pick(phrasings["quote"]), dice, {}, {"said": said})
    lines = templates(phrasings["shop" if kind < 25 else "life"])
    vocabulary = vocabulary | {"who": phrasings["who"]}
    picked = [dice.pick(lines)[1] for _ in range(2 + dice.below(3))]
    return space.join(capitalised(fill(line, dice, vocabulary, {})) for line in picked)


def log(dice: Dice, vocabulary: dict[str, list[str]]) -> str:
    """A machine's lines on one event after the other, with the same values as JSON."""
    names = dice.shuffle(["order", "product", "colour", "size", "city", "day", "quantity"])
    values = {name: dice.pick(vocabulary[name]) for name in names[: 1 + dice.below(4)]}
    codes = dice.shuffle(TEXT["log"].splitlines())[: 1 + dice.below(3)]
    gap = dice.pick([" ", "\n"])
    return "\n".join(f"{fill(code, dice, {}, {})}{gap}{compact(values)}" for code in codes)


def starter(dice: Dice) -> list[Row]:
    rows: dict[str, Row] = {}
    size = 0
    while size < STARTER_BYTES:
        language = dice.pick(LANGUAGES)
        text = document(dice, language, TEXT[language])
        if text not in rows:
            rows[text] = {"text": text}
            size += len(json_line(rows[text]).encode()) + 1
    return list(rows.values())


def compact(values: Row) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def json_line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


def csv_lines(rows: list[Row]) -> list[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()


def main(out: Path) -> None:
    counts, dirt = read("intents.yaml"), read("dirt.yaml")
    files = {
        "raw/intent.csv": intents(Dice("intent"), "seen", counts),
        "raw/intent_unseen.csv": intents(Dice("unseen"), "unseen", dict.fromkeys(counts, 20)),
        "raw/slots.jsonl": slots(Dice("slots")),
        "raw/replies.jsonl": replies(Dice("replies")),
        "raw/adversarial.jsonl": adversarial(Dice("adversarial")),
        "raw/preferences.jsonl": preferences(Dice("preferences")),
        "starter/text.jsonl": starter(Dice("starter")),
    }
    contents = {}
    for path, rows in files.items():
        name = Path(path).name
        if name in dirt:
            soil(rows, name, dirt[name])
        lines = csv_lines(rows) if name.endswith(".csv") else [json_line(row) for row in rows]
        for broken in dirt["broken"]:
            if broken["file"] == name:
                lines.insert(broken["line"] - 1, broken["row"])
        contents[path] = "\n".join(lines)
    contents["raw/labels.json"] = json.dumps(sorted([*counts, "out_of_scope"]), indent=2)
    cases = out_of_domain(Dice("out of domain"))
    contents["raw/out_of_domain.json"] = json.dumps(
        cases, ensure_ascii=False, indent=1, sort_keys=True
    )
    for path, content in contents.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(f"{content}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent)
