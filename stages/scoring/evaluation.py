"""All that one variant is asked, and what it answers."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from stages import records
from stages.records import Record
from stages.scoring import answering, metrics, variations
from stages.scoring.kept import Kept
from stages.scoring.predictions import Prediction
from stages.scoring.settings import Asked
from stages.scoring.suites import JUDGED, SCORES, Suite


class Evaluation:
    """One variant asked all that is measured; what it said is kept until the end."""

    def __init__(
        self,
        model: answering.Answering,
        labels: dict[str, list[str]],
        chosen: Asked,
        seed: int,
        parts: Mapping[str, Sequence[Record]],
    ) -> None:
        """`parts` are the records of each suite."""
        self.model = model
        self.labels = labels
        self.chosen = chosen
        self.seed = seed
        self.parts = parts
        self.otherwise = {suite.task: self._put_otherwise(suite) for suite in chosen.measured}

    def check(self) -> None:
        """Refuse what does not fit the model's context, before its weights are loaded."""
        for suite in self.chosen.measured:
            rows = [*self.parts[suite.task], *self.otherwise[suite.task]]
            self.model.check(suite, rows, self.labels.get(suite.task, []))

    def predictions(self, rows: Sequence[Record], scored: Kept) -> list[Prediction]:
        """The answers to all suites, and how unlikely the model finds the expected ones."""
        answers: dict[str, tuple[Suite, answering.Answer]] = {}
        for suite in self.chosen.measured:
            part = self.parts[suite.task]
            given = self._answers("answers", suite, part, scored)
            answers |= {row.id: (suite, one) for row, one in zip(part, given, strict=True)}
        judged = {suite.task for suite in self.chosen.measured if suite.answer in JUDGED}
        said = [row for row in rows if row.task not in judged and self.model.head is None]
        found = scored.through("losses", said, self.model.losses)
        losses = {row.id: (loss, tokens) for row, (loss, tokens) in zip(said, found, strict=True)}
        asked = {row.id: self.asked(row, *losses.get(row.id, (None, 0))) for row in rows}
        return [
            answered(one, *answers[key]) if key in answers else one for key, one in asked.items()
        ]

    def varied(self, before: Sequence[Prediction], scored: Kept) -> list[Prediction]:
        """The answers to some records of each suite put otherwise, by us or by the data, whose
        answers are known `before`."""
        by = self.chosen.stability.paraphrases
        paraphrased = variations.paraphrased(before, by) if by else []
        found = [row for row in paraphrased if variations.PARENT in row.slices]
        for suite in self.chosen.measured:
            rows = self.otherwise[suite.task]
            again = [row for row in rows if row.slices[variations.VARIATION] == "again"]
            others = [row for row in rows if row.slices[variations.VARIATION] != "again"]
            drawn = scored.through(f"again {suite.task}", _numbered(again), self._samples)
            given = [
                *self._answers("varied", suite, others, scored),
                *(answering.Answer(**one) for one in drawn),
            ]
            pairs = zip([*others, *again], given, strict=True)
            found += [answered(self.asked(row), suite, one) for row, one in pairs]
        return found

    def asked(self, row: Record, loss: float | None = None, tokens: int = 0) -> Prediction:
        """A record before it is answered."""
        return Prediction(
            id=row.id,
            task=row.task,
            slices=row.slices,
            question=row.question,
            prompt=digest(self.model.prompt(row)),
            expected=row.answer,
            loss=None if loss is None else round(loss, 4),
            tokens=tokens,
        )

    def _put_otherwise(self, suite: Suite) -> list[Record]:
        """Some records of a suite that is to be stable, each in its variations."""
        chosen, labels = self.chosen.stability, self.labels.get(suite.task, [])
        if suite.task not in chosen.tasks:
            return []
        return [
            one
            for row in records.spread(self.parts[suite.task], chosen.records)
            for one in variations.varied(row, suite.answer, labels, chosen, self.seed)
        ]

    def _answers(
        self, kind: str, suite: Suite, part: Sequence[Record], scored: Kept
    ) -> list[answering.Answer]:
        """To records of a suite, the labels of its task known."""
        labels = self.labels.get(suite.task, [])

        def work(some: Sequence[Record]) -> list[Any]:
            return [asdict(one) for one in self.model.answers(suite, some, labels)]

        given = scored.through(f"{kind} {suite.task}", part, work)
        return [answering.Answer(**one) for one in given]

    def _samples(self, some: Sequence[tuple[Record, int]]) -> list[Any]:
        return [asdict(one) for one in self.model.samples(some, self.seed)]


def _numbered(rows: Sequence[Record]) -> list[tuple[Record, int]]:
    """Each with how many equal ones stand before it."""
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        found.append((row, seen[row.id]))
        seen[row.id] += 1
    return found


def answered(prediction: Prediction, suite: Suite, answer: answering.Answer) -> Prediction:
    """With the answer, and its scores by the figures that are means."""
    pair = prediction.expected, answer.text
    means = metrics.means(suite.answer)
    return replace(
        prediction,
        got=answer.text,
        score=SCORES[suite.answer](*pair),
        scores={name: score(*pair) for name, score in means.items() if name in suite.metrics},
        merits={name: round(merit, 4) for name, merit in sorted(answer.merits.items())},
    )


def digest(ids: list[int]) -> str:
    """Of a prompt's token ids: 16 hex digits."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]
