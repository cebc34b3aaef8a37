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
    end_sentence,
    fill_template,
    parse_templates,
    read_yaml,
    to_compact_json,
    to_json_line,
    write_utterance,
)

TEXT_BYTES = 8_000_000
INTENTS = {language: read_yaml(f"intents.{language}.yaml") for language in LANGUAGES}
REPLIES = read_yaml("replies.yaml")
ELSEWHERE = read_yaml("out_of_domain.yaml")
SAFETY = read_yaml("safety.yaml")
TEXT = read_yaml("text.yaml")


class Writer:
    """Writer of documents in one language; a document is the texts of one or two turns."""

    def __init__(self, rng: HashRandom, language: str) -> None:
        self.rng, self.text = rng, TEXT[language]
        self.vocabulary = VOCABULARY[language]
        self.background = {
            intent: parse_templates(blocks["background"])
            for intent, blocks in INTENTS[language].items()
        }
        topics = REPLIES[language]["topics"]
        self.policies = {name: topic["policy"] for name, topic in topics.items()}
        self.policies |= self.text["policy"]
        self.elsewhere, self.safety = ELSEWHERE[language], SAFETY[language]
        self.english = language == "en"
        self.space = " " if self.english else ""
        self.kinds: list[Callable[[], list[str]]] = [
            *[self.write_messages] * 3,
            *[self.write_dialogue] * 6,
            *[self.write_summary] * 7,
            *[self.write_refusal_of_service] * 2,
            *[self.write_note] * 9,
            *[self.write_quote] * 2,
            *[self.write_remark] * 4,
            *[self.write_shop] * 2,
            *[self.write_life] * 2,
            *[self.write_log] * 2,
        ]

    def write_document(self) -> list[str]:
        """Return a document of a random kind."""
        return self.rng.choose(self.kinds)()

    def write_messages(self) -> list[str]:
        """Write two to four messages of customers with the same matter."""
        intent = self.rng.choose(list(self.background))
        gap = self.rng.choose([self.space, "\n"])
        return [gap.join(self._write_request(intent) for _ in range(2 + self.rng.draw_below(3)))]

    def write_dialogue(self) -> list[str]:
        """Write a customer's message and the policy for its matter."""
        intent = self.rng.choose([name for name in self.background if name in self.policies])
        request, policy = self._write_request(intent), self.policies[intent]
        return self._join("ask_agent", ask=request, reply=policy)

    def write_summary(self) -> list[str]:
        """Write a customer's message and what the matter is."""
        intent = self.rng.choose(list(self.background))
        summary = fill_template(self.text["summary"][intent], self.rng, {}, {})
        return self._join("summarize", utterance=self._write_request(intent), summary=summary)

    def write_refusal_of_service(self) -> list[str]:
        """Write a question that is no matter of the shop, and that it is none."""
        request = self._fill_request(self.elsewhere["background"], self.elsewhere["fillers"])
        summary = self.rng.choose(self.text["elsewhere"])
        return self._join("summarize", utterance=request, summary=summary)

    def write_remark(self) -> list[str]:
        """Write a harmful or a harmless request and a remark on it."""
        kind = self.rng.choose(["unsafe", "safe"])
        request = self._fill_request(self.safety["background"][kind], self.safety["fillers"])
        return self._join("summarize", utterance=request, summary=self.rng.choose(self.text[kind]))

    def write_note(self) -> list[str]:
        """Write a sentence with its values in JSON or words; without values, the sentence."""
        rng, values = self.rng, dict[str, str]()
        templates = parse_templates(self.text["talk"])
        if not rng.draw_below(4):
            templates = self.background[rng.choose(list(self.background))]
        sentence = capitalize(fill_template(rng.choose(templates)[1], rng, self.vocabulary, values))
        if not sentence.endswith((".", "。", "?", "？")):
            sentence += "." if self.english else "。"
        names = [name for name in self.text["names"] if values.get(name, "\n") in sentence]
        if not names:
            return [sentence]
        if rng.draw_below(4):
            note = to_compact_json({name: values[name] for name in names})
            return [sentence, note] if rng.draw_below(2) else [f"{sentence}\n{note}"]
        colon, comma = (": ", ", ") if self.english else ("：", "，")
        note = comma.join(self.text["names"][name] + colon + values[name] for name in names)
        return self._join("note", sentence=sentence, note=note)

    def write_quote(self) -> list[str]:
        """Write a customer's message and its quotation."""
        values = {"utterance": self._write_request(self.rng.choose(list(self.background)))}
        frame = self.rng.choose(self.text["quote"])
        return [fill_template(frame, self.rng, {}, values)]

    def write_shop(self) -> list[str]:
        """Write two to four sentences on the shop."""
        return self._write_paragraph("shop")

    def write_life(self) -> list[str]:
        """Write two to four sentences on other things."""
        return self._write_paragraph("life")

    def write_log(self) -> list[str]:
        """Write a log of one to three machine codes, each followed by the same values as JSON."""
        rng = self.rng
        names = rng.shuffle(["order", "product", "colour", "size", "city", "day", "quantity"])
        values = {
            name: rng.choose(self.vocabulary[name]) for name in names[: 1 + rng.draw_below(4)]
        }
        codes = rng.shuffle(TEXT["log"].splitlines())[: 1 + rng.draw_below(3)]
        gap = rng.choose([" ", "\n"])
        lines = [
            f"{fill_template(code, rng, {}, {})}{gap}{to_compact_json(values)}" for code in codes
        ]
        return ["\n".join(lines)]

    def _join(self, frame: str, **parts: str) -> list[str]:
        """Return two texts as two turns or, in half of the cases, in one frame of text.yaml."""
        if self.rng.draw_below(2):
            return list(parts.values())
        return [fill_template(self.rng.choose(self.text[frame]), self.rng, {}, parts)]

    def _write_request(self, intent: str) -> str:
        template = self.rng.choose(self.background[intent])
        return write_utterance(*template, self.rng, self.vocabulary)

    def _fill_request(self, block: str, fillers: dict[str, list[str]]) -> str:
        _, template = self.rng.choose(parse_templates(block))
        return end_sentence(capitalize(fill_template(template, self.rng, fillers, {})))

    def _write_paragraph(self, block: str) -> list[str]:
        templates = parse_templates(self.text[block])
        vocabulary = self.vocabulary | {"who": self.text["who"]}
        lines = [self.rng.choose(templates)[1] for _ in range(2 + self.rng.draw_below(3))]
        filled = (capitalize(fill_template(line, self.rng, vocabulary, {})) for line in lines)
        return [self.space.join(filled)]


def main(path: Path) -> None:
    """Write distinct documents until the file reaches TEXT_BYTES."""
    rng = HashRandom("starter")
    writers = [Writer(rng, language) for language in LANGUAGES]
    lines: dict[str, None] = {}
    size = 0
    while size < TEXT_BYTES:
        line = to_json_line({"turns": rng.choose(writers).write_document()})
        if line not in lines:
            lines[line] = None
            size += len(line.encode()) + 1
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
