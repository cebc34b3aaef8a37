"""Write the unlabelled text on which the starter model is pre-trained (data/starter/text.jsonl).

No template of data/raw that a test record may come from occurs in it: the shop's matters are told
in the phrasings under `background`, which no other file uses.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from phrasing import (
    LANGUAGES,
    VOCABULARY,
    HashRandom,
    capitalize,
    fill_template,
    parse_templates,
    read_yaml,
    to_compact_json,
    to_json_line,
    write_utterance,
)

TEXT_BYTES = 6_000_000
INTENTS = {language: read_yaml(f"intents.{language}.yaml") for language in LANGUAGES}
REPLIES = read_yaml("replies.yaml")
SAFETY = read_yaml("safety.yaml")
TEXT = read_yaml("text.yaml")


class Writer:
    """Writer of documents in one language."""

    def __init__(self, rng: HashRandom, language: str) -> None:
        self.rng, self.text = rng, TEXT[language]
        self.vocabulary = VOCABULARY[language]
        self.background = {
            intent: parse_templates(blocks["background"])
            for intent, blocks in INTENTS[language].items()
        }
        self.policies = {
            name: topic["policy"] for name, topic in REPLIES[language]["topics"].items()
        }
        self.policies |= self.text["policy"]
        self.safety = SAFETY[language]
        self.english = language == "en"
        self.space = " " if self.english else ""
        self.kinds: list[Callable[[], str]] = [
            *[self.write_messages] * 4,
            *[self.write_dialogue] * 5,
            *[self.write_summary] * 5,
            *[self.write_note] * 8,
            *[self.write_quote] * 2,
            *[self.write_warning] * 3,
            *[self.write_shop] * 2,
            *[self.write_life] * 3,
            self.write_log,
        ]

    def write_document(self) -> str:
        """Return a document of a random kind."""
        return self.rng.choose(self.kinds)()

    def write_messages(self) -> str:
        """Return one to four messages of customers with the same matter."""
        intent = self.rng.choose(list(self.background))
        gap = self.rng.choose([self.space, "\n"])
        return gap.join(self._write_request(intent) for _ in range(1 + self.rng.draw_below(4)))

    def write_dialogue(self) -> str:
        """Return a customer's message and the policy for its matter."""
        intent = self.rng.choose([name for name in self.background if name in self.policies])
        values = {"ask": self._write_request(intent), "reply": self.policies[intent]}
        return fill_template(self.rng.choose(self.text["ask_agent"]), self.rng, {}, values)

    def write_summary(self) -> str:
        """Return a customer's message and what the matter is."""
        intent = self.rng.choose(list(self.background))
        summary = fill_template(self.text["summary"][intent], self.rng, {}, {})
        values = {"utterance": self._write_request(intent), "summary": summary}
        return fill_template(self.rng.choose(self.text["summarize"]), self.rng, {}, values)

    def write_note(self) -> str:
        """Return a sentence with its values in JSON or words; without values, the sentence."""
        rng, values = self.rng, dict[str, str]()
        templates = parse_templates(self.text["talk"])
        if not rng.draw_below(4):
            templates = self.background[rng.choose(list(self.background))]
        sentence = capitalize(fill_template(rng.choose(templates)[1], rng, self.vocabulary, values))
        if not sentence.endswith((".", "。", "?", "？")):
            sentence += "." if self.english else "。"
        names = [name for name in self.text["names"] if values.get(name, "\n") in sentence]
        if not names:
            return sentence
        if rng.draw_below(4):
            return sentence + "\n" + to_compact_json({name: values[name] for name in names})
        colon, comma = (": ", ", ") if self.english else ("：", "，")
        note = comma.join(self.text["names"][name] + colon + values[name] for name in names)
        parts = {"sentence": sentence, "note": note}
        return fill_template(rng.choose(self.text["note"]), rng, {}, parts)

    def write_quote(self) -> str:
        """Return a customer's message that is quoted."""
        intent = self.rng.choose(list(self.background))
        values = {"utterance": self._write_request(intent)}
        return fill_template(self.rng.choose(self.text["quote"]), self.rng, {}, values)

    def write_warning(self) -> str:
        """Return a harmful or a harmless request and a remark on it."""
        kind = self.rng.choose(["unsafe", "safe"])
        _, template = self.rng.choose(parse_templates(self.safety["train"][kind]))
        request = capitalize(fill_template(template, self.rng, self.safety["fillers"], {}))
        if not request.endswith(("?", "？")):
            request += "." if self.english else "。"
        return request + self.rng.choose([self.space, "\n"]) + self.rng.choose(self.text[kind])

    def write_shop(self) -> str:
        """Return two to four sentences on the shop."""
        return self._write_paragraph("shop")

    def write_life(self) -> str:
        """Return two to four sentences on other things."""
        return self._write_paragraph("life")

    def write_log(self) -> str:
        """Return a log of one to three machine codes, each followed by the same values as JSON."""
        rng = self.rng
        names = rng.shuffle(["order", "product", "colour", "size", "city", "day", "quantity"])
        values = {
            name: rng.choose(self.vocabulary[name]) for name in names[: 1 + rng.draw_below(4)]
        }
        codes = rng.shuffle(TEXT["log"].splitlines())[: 1 + rng.draw_below(3)]
        gap = rng.choose([" ", "\n"])
        return "\n".join(
            f"{fill_template(code, rng, {}, {})}{gap}{to_compact_json(values)}" for code in codes
        )

    def _write_request(self, intent: str) -> str:
        template = self.rng.choose(self.background[intent])
        return write_utterance(*template, self.rng, self.vocabulary)

    def _write_paragraph(self, block: str) -> str:
        templates = parse_templates(self.text[block])
        vocabulary = self.vocabulary | {"who": self.text["who"]}
        lines = [self.rng.choose(templates)[1] for _ in range(2 + self.rng.draw_below(3))]
        return self.space.join(
            capitalize(fill_template(line, self.rng, vocabulary, {})) for line in lines
        )


def main(path: Path) -> None:
    """Write distinct documents until the file reaches TEXT_BYTES."""
    rng = HashRandom("starter")
    writers = [Writer(rng, language) for language in LANGUAGES]
    lines: dict[str, None] = {}
    size = 0
    while size < TEXT_BYTES:
        line = to_json_line({"text": rng.choose(writers).write_document()})
        if line not in lines:
            lines[line] = None
            size += len(line.encode()) + 1
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
