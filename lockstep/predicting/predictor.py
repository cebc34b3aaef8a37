"""Ask one variant of the model everything that is to be evaluated."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lockstep import records
from lockstep.inference import latency, vllm_backend
from lockstep.models.model_io import Head
from lockstep.predicting import perturbations, retrieval
from lockstep.predicting.resume_cache import ResumeCache
from lockstep.predicting.variant_model import Answer, VariantModel
from lockstep.predictions import SPLIT, Prediction
from lockstep.records import Record
from lockstep.suites import GENERATED_FORMS, JUDGED_FORMS, RETRIEVAL, Suite


class Predictor:
    """The records that one variant is asked, and its predictions.

    Every answer goes through a resume cache, so an interrupted stage continues where it stopped.
    """

    def __init__(
        self,
        model: VariantModel,
        suites: Sequence[Suite],
        labels: Mapping[str, list[str]],
        seed: int,
        test_records: Sequence[Record],
        split_records: Mapping[str, Sequence[Record]],
    ) -> None:
        """Choose the records.

        `suites` may include long-context retrieval, whose records are generated here.
        `labels` are the labels of each task. `split_records` are the records of the other splits;
        an even sample of them is asked as well, except what the model's context does not hold.
        """
        self.model = model
        self.settings = model.settings
        self.suites = suites
        self.labels = labels
        self.seed = seed
        generated: list[Record] = []
        if any(suite.task == RETRIEVAL for suite in self.suites):
            generated = retrieval.generate_records(model.tokenizer, self.settings.retrieval, seed)
        self.test_records = [*test_records, *generated]
        self.perturbed = {suite.task: self._perturb(suite) for suite in self.suites}
        self.split_samples = {
            split: [record for suite in suites for record in self._sample(suite, part)]
            for split, part in split_records.items()
        }

    def check(self) -> None:
        """Raise UserError, before weights are loaded, for what vLLM or the context cannot hold."""
        if self.settings.uses_vllm(self.suites):
            vllm_backend.check_model(self.model.folder)
        for suite in self.suites:
            suite_records = [*select_records(suite, self.test_records), *self.perturbed[suite.task]]
            self.model.check_context(suite, suite_records, self._labels(suite))

    def predict(self, cache: ResumeCache) -> list[Prediction]:
        """Answer the test records of all suites, and compute the likelihood of each reference."""
        self._generate(cache)
        return self._predict(self.test_records, cache)

    def predict_splits(self, cache: ResumeCache) -> list[Prediction]:
        """Answer the sampled records of the other splits; their slice `split` names the split."""
        return [
            replace(prediction, slices={**prediction.slices, SPLIT: split})
            for split, sample in self.split_samples.items()
            for prediction in self._predict(sample, cache, f"{split} ")
        ]

    def predict_perturbed(
        self, predictions: Sequence[Prediction], cache: ResumeCache
    ) -> list[Prediction]:
        """Answer the perturbed records, and find the paraphrases among the test records.

        `predictions` are those of the test records.
        """
        by = self.settings.robustness.paraphrases
        linked = perturbations.link_paraphrases(predictions, by) if by else []
        result = [row for row in linked if perturbations.PARENT in row.slices]
        for suite in self.suites:
            pairs = self._answer_perturbed(suite, cache)
            result += [
                add_answer(self._unanswered(record), suite, answer) for record, answer in pairs
            ]
        return result

    def measure_lm_eval_accuracies(self) -> dict[str, float]:
        """Return the accuracy that lm-eval measures on a sample of each choice suite."""
        number = self.settings.lm_eval.records
        return {
            suite.task: self.model.measure_lm_eval_accuracy(
                records.sample_evenly(select_records(suite, self.test_records), number),
                self._labels(suite),
            )
            for suite in self.suites
            if suite.answer == "choice" and number
        }

    def measure_latency(self) -> dict[str, float]:
        """Measure how fast the model generates answers to some of the test records."""
        generated = [
            record
            for suite in self.suites
            if suite.answer in GENERATED_FORMS and suite.task != RETRIEVAL
            for record in select_records(suite, self.test_records)
        ]
        return self.model.measure_latency(records.sample_evenly(generated, latency.PROMPTS))

    def _labels(self, suite: Suite) -> list[str]:
        return self.labels.get(suite.task, [])

    def _perturb(self, suite: Suite) -> list[Record]:
        """Return the perturbed versions of a sample of the suite's records."""
        settings = self.settings.robustness
        if not settings.covers(suite):
            return []
        return [
            version
            for record in records.sample_evenly(
                select_records(suite, self.test_records), settings.records
            )
            for version in perturbations.perturb(
                record, suite.answer, self._labels(suite), settings, self.seed
            )
        ]

    def _sample(self, suite: Suite, part: Sequence[Record]) -> list[Record]:
        sample = records.sample_evenly(select_records(suite, part), self.settings.split_records)
        labels = self._labels(suite)
        return [record for record in sample if self.model.fits_context(suite, record, labels)]

    def _generate(self, cache: ResumeCache) -> None:
        """Generate all answers first, into the cache: vLLM starts once, before our weights load."""
        for suite in self.suites:
            if suite.answer in GENERATED_FORMS:
                self._answer("answers", suite, select_records(suite, self.test_records), cache)
                self._answer_perturbed(suite, cache)
                for split, sample in self.split_samples.items():
                    self._answer(f"{split} answers", suite, select_records(suite, sample), cache)

    def _predict(
        self, asked_records: Sequence[Record], cache: ResumeCache, prefix: str = ""
    ) -> list[Prediction]:
        answers: dict[str, tuple[Suite, Answer]] = {}
        for suite in self.suites:
            part = select_records(suite, asked_records)
            for record, answer in zip(
                part, self._answer(f"{prefix}answers", suite, part, cache), strict=True
            ):
                answers[record.id] = (suite, answer)
        judged = {suite.task for suite in self.suites if suite.answer in JUDGED_FORMS}
        likely = [
            record
            for record in asked_records
            if self.model.head is None
            and record.task not in judged
            and record.desirable is not False
        ]
        losses = cache.map(f"{prefix}losses", likely, self.model.compute_reference_losses)
        by_id = {
            record.id: (loss, tokens) for record, (loss, tokens) in zip(likely, losses, strict=True)
        }
        unanswered = [
            self._unanswered(record, *by_id.get(record.id, (None, 0))) for record in asked_records
        ]
        return [
            add_answer(row, *answers[row.id]) if row.id in answers else row for row in unanswered
        ]

    def _unanswered(self, record: Record, loss: float | None = None, tokens: int = 0) -> Prediction:
        """Return the prediction of a record before it is answered.

        The record's own slices take precedence over `source` and `length`.
        """
        prompt = self.model.encode_prompt(record)
        return Prediction(
            id=record.id,
            task=record.task,
            slices={"source": record.source, "length": name_length(len(prompt)), **record.slices},
            tools=record.tools,
            question=record.question,
            prompt=hash_prompt(prompt),
            reference=record.answer,
            loss=None if loss is None else round(loss, 4),
            tokens=tokens,
        )

    def _answer(
        self, kind: str, suite: Suite, part: Sequence[Record], cache: ResumeCache
    ) -> list[Answer]:
        labels = self._labels(suite)

        def work(batch: Sequence[Record]) -> list[Any]:
            return [asdict(answer) for answer in self.model.answer(suite, batch, labels)]

        return [Answer(**values) for values in cache.map(f"{kind} {suite.task}", part, work)]

    def _answer_perturbed(self, suite: Suite, cache: ResumeCache) -> list[tuple[Record, Answer]]:
        """Return the perturbed records of a suite with their answers; resampled ones come last."""
        versions = self.perturbed[suite.task]
        resampled = [record for record in versions if perturbations.is_resampled(record)]
        others = [record for record in versions if not perturbations.is_resampled(record)]

        def work(batch: Sequence[tuple[Record, int]]) -> list[Any]:
            return [asdict(answer) for answer in self.model.sample(batch, self.seed)]

        samples = cache.map(f"resampled {suite.task}", number_repeats(resampled), work)
        answers = [
            *self._answer("perturbed", suite, others, cache),
            *(Answer(**values) for values in samples),
        ]
        return list(zip([*others, *resampled], answers, strict=True))


def choose_head(suites: Sequence[Suite], labels: Mapping[str, Sequence[str]]) -> Head | None:
    """Return the head that a base needs to answer the suites; None for a generative model."""
    forms = {suite.answer for suite in suites}
    if "number" in forms:
        return Head("regression", [])
    if not forms & {"label", "labels"}:
        return None
    names = sorted({label for suite in suites for label in labels[suite.task]})
    several = "labels" in forms
    return Head("multi_label_classification" if several else "single_label_classification", names)


def select_records(suite: Suite, part: Sequence[Record]) -> list[Record]:
    """Return the records of a suite's task, without those whose answer is undesirable."""
    return [
        record for record in part if record.task == suite.task and record.desirable is not False
    ]


def number_repeats(part: Sequence[Record]) -> list[tuple[Record, int]]:
    """Pair each record with the number of records before it that have the same id."""
    seen: Counter[str] = Counter()
    result = []
    for record in part:
        result.append((record, seen[record.id]))
        seen[record.id] += 1
    return result


def add_answer(prediction: Prediction, suite: Suite, answer: Answer) -> Prediction:
    """Return the prediction with an answer."""
    scores = {name: round(score, 4) for name, score in sorted(answer.option_scores.items())}
    return replace(
        prediction,
        answer_form=suite.answer,
        prediction=answer.text,
        truncated=answer.truncated,
        option_scores=scores,
    )


def hash_prompt(ids: list[int]) -> str:
    """Return 16 hex digits of a sha256 over a prompt's token ids."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]


def name_length(tokens: int) -> str:
    """Return the band of a length, between powers of four: 1-16, 17-64, 65-256 …"""
    below, top = 0, 16
    while tokens > top:
        below, top = top, 4 * top
    return f"{below + 1}-{top}"
