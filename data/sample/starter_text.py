"""Write the text on which the starter model is pre-trained (data/starter/pretraining/text.jsonl).

No template of data/raw that a test record may come from occurs in it: the shop's matters are told
in the phrasings of paraphrases.*.yaml and under `background`, which no test record comes from.
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

TEXT_BYTES = 24_000_000
PARAPHRASES = {language: read_yaml(f"paraphrases.{language}.yaml") for language in LANGUAGES}
REPLIES = read_yaml("replies.yaml")
ELSEWHERE = read_yaml("out_of_domain.yaml")
SAFETY = read_yaml("safety.yaml")
TEXT = read_yaml("text.yaml")


class Writer:
    """Writer of documents in one language; a document is the texts of one or two turns."""

    def __init__(self, rng: HashRandom, language: str) -> None:
        self.rng, self.text = rng, TEXT[language]
        self.vocabulary = VOCABULARY[language]
        self.elsewhere, self.safety = ELSEWHERE[language], SAFETY[language]
        self.background = {
            matter: parse_templates(block) for matter, block in PARAPHRASES[language].items()
        }
        self.background["elsewhere"] += parse_templates(self.elsewhere["background"])
        topics = REPLIES[language]["topics"]
        self.policies = {
            name: topic["policy"] for name, topic in topics.items() if name in self.background
        }
        self.policies |= self.text["policy"]
        self.english = language == "en"
        self.space = " " if self.english else ""
        self.kinds: list[Callable[[], list[str]]] = [
            *[self.write_messages] * 2,
            *[self.write_dialogue] * 6,
            *[self.write_summary] * 14,
            *[self.write_search] * 8,
            *[self.write_remark] * 9,
            *[self.write_note] * 9,
            self.write_quote,
            *[self.write_shop] * 2,
            *[self.write_life] * 2,
            *[self.write_log] * 2,
        ]

    def write_document(self) -> list[str]:
        """Return a document of a random kind."""
        return self.rng.choose(self.kinds)()

    def write_messages(self) -> list[str]:
        """Write two to four messages of customers with the same matter."""
        matter = self.rng.choose(list(self.background))
        gap = self.rng.choose([self.space, "\n"])
        return [gap.join(self._write_request(matter) for _ in range(2 + self.rng.draw_below(3)))]

    def write_dialogue(self) -> list[str]:
        """Write a customer's message and the policy for its matter."""
        matter = self.rng.choose(list(self.policies))
        request = self._shorten(self._write_request(matter))
        return self._join("ask_agent", ask=request, reply=self.policies[matter])

    def write_summary(self) -> list[str]:
        """Write a message and what its matter is."""
        matter = self.rng.choose(list(self.background))
        request = self._shorten(self._write_request(matter))
        return self._join("summarize", utterance=request, summary=self._summarize(matter))

    def write_search(self) -> list[str]:
        """Write a few words of a message, as they are typed into a search box, and its matter."""
        matter = self.rng.choose(list(self.background))
        words = self._pick_words(self._write_request(matter))
        return self._join("search", words=words, summary=self._summarize(matter))

    def write_remark(self) -> list[str]:
        """Write a harmful or a harmless request, or some words of it, and a remark on it."""
        kind = self.rng.choose(["unsafe", "safe"])
        _, template = self.rng.choose(parse_templates(self.safety["background"][kind]))
        request = capitalize(fill_template(template, self.rng, self.safety["fillers"], {}))
        remark = self.rng.choose(self.text[kind])
        if not self.rng.draw_below(3):
            return self._join("search", words=self._pick_words(request), summary=remark)
        request = self._shorten(end_sentence(request))
        return self._join("summarize", utterance=request, summary=remark)

    def write_note(self) -> list[str]:
        """Write a sentence with its values in JSON or words; without values, the sentence."""
        rng, values = self.rng, dict[str, str]()
        templates = parse_templates(self.text["talk"])
        if not rng.draw_below(4):
            templates = self.background[rng.choose(list(self.policies))]
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
        """Return two texts as two turns or, in a third of the cases, in one frame of text.yaml."""
        if self.rng.draw_below(3):
            return list(parts.values())
        return [fill_template(self.rng.choose(self.text[frame]), self.rng, {}, parts)]

    def _write_request(self, matter: str) -> str:
        template = self.rng.choose(self.background[matter])
        return write_utterance(*template, self.rng, self.vocabulary | self.elsewhere["fillers"])

    def _summarize(self, matter: str) -> str:
        return fill_template(self.text["summary"][matter], self.rng, {}, {})

    def _shorten(self, text: str) -> str:
        """Leave words out of every third text, as in a message that is typed in a hurry."""
        words = self._split_words(text)
        if self.rng.draw_below(3) or len(words) < 4:
            return text
        return self.space.join(word for word in words if self.rng.draw_below(6)) or text

    def _pick_words(self, text: str) -> str:
        """Return one to four words of the text, in their order."""
        words = self._split_words(text.rstrip(".?!。？！"))
        words = [word.strip(",.?!，。？！") for word in words]
        content = [number for number, word in enumerate(words) if len(word) > 1 + 2 * self.english]
        picked = self.rng.shuffle(content or list(range(len(words))))[: 1 + self.rng.draw_below(4)]
        return " ".join(words[number] for number in sorted(picked))

    def _split_words(self, text: str) -> list[str]:
        """Return the words of an English text, or pieces of 1 to 4 characters of a Chinese one."""
        if self.english:
            return text.split(" ")
        words, start = [], 0
        while start < len(text):
            end = start + 1 + self.rng.draw_below(4)
            words.append(text[start:end])
            start = end
        return words

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
