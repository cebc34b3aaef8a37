"""Generate long-context retrieval records: a long text with one fact, and a question about it.

This follows the "needle in a haystack" test (Kamradt, 2023) with other facts and sentences.
"""

import bisect
import hashlib
import json
import random
from collections.abc import Callable
from itertools import cycle, islice, product
from typing import Annotated, Literal

from pydantic import Field

from lockstep.errors import UserError
from lockstep.params import Fraction, PositiveInt, Section
from lockstep.records import Record
from lockstep.suites import RETRIEVAL

Language = Literal["en", "zh"]


class RetrievalParams(Section):
    """Length of the generated texts, and the position of the fact in them."""

    lengths: list[PositiveInt] = [200, 400]
    """Numbers of tokens of the prompts; the base's context must hold a prompt and its answer; []
    disables this."""
    depths: Annotated[list[Fraction], Field(min_length=1)] = [0.0, 0.5, 1.0]
    """Position of the fact, as the share of the other text before it: 0 is the start, 1 the end."""
    languages: Annotated[list[Language], Field(min_length=1)] = ["en", "zh"]
    """Languages of the texts."""
    records: PositiveInt = 2
    """Number of records of each length, depth and language."""


_FACTS = {
    "en": "The code of locker {name} is {code}.",
    "zh": "{name}号柜的取件码是{code}。",
}
_PROMPTS = {
    "en": "Read the shop's log.\n\n{log}\n\nWhat is the code of locker {name}? Give only that.",
    "zh": "请阅读店铺日志。\n\n{log}\n\n{name}号柜的取件码是多少？只回答取件码。",
}
_NAMES = {
    "en": ("Rowan", "Juniper", "Hazel", "Alder", "Willow", "Maple", "Laurel", "Aspen"),
    "zh": ("丁香", "海棠", "芙蓉", "茉莉", "石榴", "银杏", "紫藤", "玉兰"),
}
_SUBJECTS = {
    "en": ("A driver", "The florist", "Our trainee", "A neighbour", "The baker", "An old sailor",
           "The night guard", "A customer in green", "The window cleaner", "A music teacher"),
    "zh": ("司机", "花店老板", "新来的学徒", "隔壁邻居", "面包师傅", "老水手",
           "夜班保安", "穿绿衣服的顾客", "擦窗工人", "音乐老师"),
}  # fmt: skip
_ACTIONS = {
    "en": ("asked for a longer ribbon", "left an umbrella by the door", "praised the new lamps",
           "moved the plants to the window", "sang while the rain fell", "wiped the front desk",
           "brought back a wooden tray", "looked for the blue scarf", "laughed about the weather",
           "counted the empty boxes", "watered the fern"),
    "zh": ("想要一条更长的丝带", "把雨伞忘在门口", "夸新的台灯好看", "把盆栽搬到窗边",
           "在下雨时哼着歌", "擦了擦前台", "还回来一个木托盘", "在找那条蓝围巾",
           "笑着聊起天气", "数了数空箱子", "给蕨草浇了水"),
}  # fmt: skip
_TIMES = {
    "en": ("at noon", "before the shop opened", "late in the day", "after the delivery",
           "during the break", "on the way out", "for the second time"),
    "zh": ("中午", "开门之前", "傍晚", "送货之后", "休息的时候", "临走时", "又一次"),
}  # fmt: skip


CountTokens = Callable[[str], int]
"""Function that returns the number of tokens of a prompt that is one turn of the user."""


def generate_records(
    count_tokens: CountTokens, settings: RetrievalParams, seed: int
) -> list[Record]:
    """Generate records for each language, length and depth.

    A prompt, with its chat template, has at most the given length and is at most one sentence
    shorter. The reference is a rule (metrics/rules): the answer contains the code. Raise UserError
    if a length does not hold the question and its fact, or if the tokenizer does not know a
    language.
    """
    return [
        _generate_record(count_tokens, language, length, depth, number, seed)
        for language in settings.languages
        for length in settings.lengths
        for depth in settings.depths
        for number in range(settings.records)
    ]


def _generate_record(
    count_tokens: CountTokens,
    language: Language,
    length: int,
    depth: float,
    number: int,
    seed: int,
) -> Record:
    origin = f"{RETRIEVAL}:{language}-{length}-{depth:g}-{number}"
    rng = random.Random(hashlib.sha256(f"{seed}/{origin}".encode()).digest())
    name, code = rng.choice(_NAMES[language]), str(rng.randrange(1000, 10000))
    rule = json.dumps([{"rule": "contains", "text": code}])
    fact = _FACTS[language].format(name=name, code=code)
    sentences = _list_sentences(language, rng)

    def build_prompt(count: int) -> str:
        before = round(depth * count)
        others = list(islice(cycle(sentences), count))
        log = ("" if language == "zh" else " ").join((*others[:before], fact, *others[before:]))
        return _PROMPTS[language].format(log=log, name=name)

    def measure_prompt(count: int) -> int:
        return count_tokens(build_prompt(count))

    if measure_prompt(0) > length:
        raise UserError(
            f"params.yaml: predict.retrieval.lengths: {length} tokens do not hold a question and "
            f"its fact, which take {measure_prompt(0)} tokens; raise it"
        )
    upper = 1
    while measure_prompt(upper) <= length:
        if upper > length:  # a sentence has at least one token
            raise UserError(
                f"params.yaml: predict.retrieval.languages: the base's tokenizer does not know the "
                f"characters of {language}; remove it"
            )
        upper *= 2
    count = bisect.bisect_right(range(upper), length, key=measure_prompt) - 1
    turns = [("user", build_prompt(count)), ("assistant", rule)]
    return Record(
        messages=[{"role": role, "content": content} for role, content in turns],
        task=RETRIEVAL,
        source=RETRIEVAL,
        origin=origin,
        slices={"language": language, "length": str(length), "depth": f"{depth:g}"},
    )


def _list_sentences(language: Language, rng: random.Random) -> list[str]:
    """Return all sentences in random order; none has a digit, so the code is the only number."""
    parts = list(product(_SUBJECTS[language], _TIMES[language], _ACTIONS[language]))
    rng.shuffle(parts)
    if language == "zh":
        return [f"{who}{when}{did}。" for who, when, did in parts]
    return [f"{who} {did} {when}." for who, when, did in parts]
