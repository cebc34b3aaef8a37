"""All that one variant is asked, and what it answers."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lockstep import records
from lockstep.inference import latency, vllm_backend
from lockstep.metrics import suites
from lockstep.metrics.aggregation import Sums
from lockstep.metrics.suites import JUDGED, SCORES, WRITTEN, Suite
from lockstep.models.model_io import Head
from lockstep.predicting import answering, perturbations, retrieval
from lockstep.predicting.predict_params import RETRIEVAL, Asked
from lockstep.predicting.resume_cache import ResumeCache
from lockstep.predictions import SPLIT, Prediction
from lockstep.records import Record


class Evaluation:
    """One variant asked all that is measured; what it said is kept until the end."""

    def __init__(
        self,
        model: answering.Answering,
        labels: dict[str, list[str]],
        chosen: Asked,
        seed: int,
        rows: Sequence[Record],
        others: Mapping[str, Sequence[Record]],
    ) -> None:
        """`rows` are the test records; those of long-context retrieval are made here. Of the
        records of other splits some are asked; what the context does not hold is passed over."""
        self.model = model
        self.labels = labels
        self.chosen = chosen
        self.seed = seed
        made: list[Record] = []
        if RETRIEVAL in chosen.measured:
            made = retrieval.made(model.tokenizer, chosen.retrieval, seed)
        self.rows = [*rows, *made]
        self.otherwise = {suite.task: self._put_otherwise(suite) for suite in chosen.measured}
        self.others = {
            split: [row for suite in chosen.suites for row in self._sample(suite, part)]
            for split, part in others.items()
        }

    def check(self) -> None:
        """Refuse what vLLM cannot write, what does not fit the model's context and what nothing
        could be held against, before weights are loaded."""
        if self.chosen.vllm_writes:
            vllm_backend.check_model(self.model.folder)
        for suite in self.chosen.measured:
            rows = [*_of(suite, self.rows), *self.otherwise[suite.task]]
            self.model.check(suite, rows, self.labels.get(suite.task, []))
            for part in self.others.values():
                suites.check_records(suite, _of(suite, part))

    def predictions(self, scored: ResumeCache) -> list[Prediction]:
        """The answers to all suites, and how unlikely the model finds the expected ones."""
        self._write(scored)
        return self._predictions(self.rows, scored)

    def of_splits(self, scored: ResumeCache) -> list[Prediction]:
        """The same of the records of other splits, whose slice `split` says which."""
        return [
            replace(one, slices={**one.slices, SPLIT: split})
            for split, rows in self.others.items()
            for one in self._predictions(rows, scored, f"{split} ")
        ]

    def second_opinions(self) -> dict[str, float]:
        """Accuracy by lm-eval on records of each suite that is a choice."""
        number = self.chosen.harness.records
        return {
            suite.task: self.model.second_opinion(
                records.sample_evenly(_of(suite, self.rows), number), self.labels[suite.task]
            )
            for suite in self.chosen.suites
            if suite.answer == "choice" and number
        }

    def timings(self) -> dict[str, float]:
        """How fast the model writes answers to some of the test records."""
        written = [suite for suite in self.chosen.suites if suite.answer in WRITTEN]
        rows = [row for suite in written for row in _of(suite, self.rows)]
        return self.model.timings(records.sample_evenly(rows, latency.PROMPTS))

    def varied(self, before: Sequence[Prediction], scored: ResumeCache) -> list[Prediction]:
        """The answers to some records of each suite put otherwise, by us or by the data, whose
        answers are known `before`."""
        by = self.chosen.stability.paraphrases
        paraphrased = perturbations.paraphrased(before, by) if by else []
        found = [row for row in paraphrased if perturbations.PARENT in row.slices]
        for suite in self.chosen.measured:
            pairs = self._varied(suite, scored)
            found += [answered(self.asked(row), suite, one) for row, one in pairs]
        return found

    def asked(self, row: Record, loss: float | None = None, tokens: int = 0) -> Prediction:
        """A record before it is answered; its own slices come before those that it gets here."""
        prompt = self.model.prompt(row)
        return Prediction(
            id=row.id,
            task=row.task,
            slices={"source": row.source, "length": band(len(prompt)), **row.slices},
            tools=row.tools,
            question=row.question,
            prompt=digest(prompt),
            reference=row.answer,
            loss=None if loss is None else round(loss, 4),
            tokens=tokens,
        )

    def _write(self, scored: ResumeCache) -> None:
        """Ask for all that is written, which is kept: vLLM is started once, before our weights."""
        for suite in self.chosen.measured:
            if suite.answer in WRITTEN:
                self._answers("answers", suite, _of(suite, self.rows), scored)
                self._varied(suite, scored)
                for split, rows in self.others.items():
                    self._answers(f"{split} answers", suite, _of(suite, rows), scored)

    def _predictions(
        self, rows: Sequence[Record], scored: ResumeCache, of: str = ""
    ) -> list[Prediction]:
        answers: dict[str, tuple[Suite, answering.Answer]] = {}
        for suite in self.chosen.measured:
            part = _of(suite, rows)
            given = self._answers(f"{of}answers", suite, part, scored)
            answers |= {row.id: (suite, one) for row, one in zip(part, given, strict=True)}
        judged = {suite.task for suite in self.chosen.measured if suite.answer in JUDGED}
        said = [row for row in rows if row.task not in judged and self.model.head is None]
        found = scored.map(f"{of}losses", said, self.model.losses)
        losses = {row.id: (loss, tokens) for row, (loss, tokens) in zip(said, found, strict=True)}
        asked = {row.id: self.asked(row, *losses.get(row.id, (None, 0))) for row in rows}
        return [
            answered(one, *answers[key]) if key in answers else one for key, one in asked.items()
        ]

    def _sample(self, suite: Suite, rows: Sequence[Record]) -> list[Record]:
        """Records of a suite, evenly spread, but those with an answer to be avoided and those that
        the model's context does not hold."""
        labels = self.labels.get(suite.task, [])
        answers = [row for row in _of(suite, rows) if row.desirable is not False]
        some = records.sample_evenly(answers, self.chosen.fit_records)
        return [row for row in some if self.model.holds(suite, row, labels)]

    def _put_otherwise(self, suite: Suite) -> list[Record]:
        """Some records of a suite that is to be stable, each in its variations."""
        chosen, labels = self.chosen.stability, self.labels.get(suite.task, [])
        if suite.task not in chosen.tasks:
            return []
        return [
            one
            for row in records.sample_evenly(_of(suite, self.rows), chosen.records)
            for one in perturbations.varied(row, suite.answer, labels, chosen, self.seed)
        ]

    def _answers(
        self, kind: str, suite: Suite, part: Sequence[Record], scored: ResumeCache
    ) -> list[answering.Answer]:
        """To records of a suite, the labels of its task known."""
        labels = self.labels.get(suite.task, [])

        def work(some: Sequence[Record]) -> list[Any]:
            return [asdict(one) for one in self.model.answers(suite, some, labels)]

        given = scored.map(f"{kind} {suite.task}", part, work)
        return [answering.Answer(**one) for one in given]

    def _varied(self, suite: Suite, scored: ResumeCache) -> list[tuple[Record, answering.Answer]]:
        """The records of a suite put otherwise, with the answers to them."""
        rows = self.otherwise[suite.task]
        again = [row for row in rows if row.slices[perturbations.VARIATION] == "again"]
        others = [row for row in rows if row.slices[perturbations.VARIATION] != "again"]
        drawn = scored.map(f"again {suite.task}", _numbered(again), self._samples)
        given = [
            *self._answers("varied", suite, others, scored),
            *(answering.Answer(**one) for one in drawn),
        ]
        return list(zip([*others, *again], given, strict=True))

    def _samples(self, some: Sequence[tuple[Record, int]]) -> list[Any]:
        return [asdict(one) for one in self.model.samples(some, self.seed)]


def new_head(chosen: Asked, labels: dict[str, list[str]]) -> Head | None:
    """What a base needs to answer the suites by numbers; None where it writes."""
    if not chosen.ends_in_numbers:
        return None
    kinds = {suite.answer for suite in chosen.suites}
    if "number" in kinds:
        return Head("regression", [])
    names = sorted({label for suite in chosen.suites for label in labels[suite.task]})
    several = "labels" in kinds
    return Head("multi_label_classification" if several else "single_label_classification", names)


def _of(suite: Suite, rows: Sequence[Record]) -> list[Record]:
    return [row for row in rows if row.task == suite.task]


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
    pair = prediction.reference, answer.text
    means = {
        name: metric.score
        for name, metric in suite.figures.items()
        if isinstance(metric, Sums) and metric.score
    }
    return replace(
        prediction,
        answer_form=suite.answer,
        prediction=answer.text,
        truncated=answer.truncated,
        score=SCORES[suite.answer](*pair),
        scores={name: score(*pair) for name, score in means.items()},
        option_scores={
            name: round(option_score, 4)
            for name, option_score in sorted(answer.option_scores.items())
        },
    )


def digest(ids: list[int]) -> str:
    """Of a prompt's token ids: 16 hex digits."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]


def band(tokens: int) -> str:
    """The powers of four between which a length lies: 1-16, 17-64, 65-256 …"""
    below, top = 0, 16
    while tokens > top:
        below, top = top, 4 * top
    return f"{below + 1}-{top}"
