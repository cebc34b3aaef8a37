"""Compute the predictions of one variant of the model on all records that are evaluated."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lockstep import records
from lockstep.errors import UserError
from lockstep.inference import latency
from lockstep.models.heads import Head
from lockstep.predicting import few_shot, perturbations, retrieval
from lockstep.predicting.resume_cache import ResumeCache
from lockstep.predicting.variant_model import Answer, VariantModel
from lockstep.predictions import SPLIT, Prediction
from lockstep.records import Record
from lockstep.suites import GENERATED_FORMS, JUDGED_FORMS, RETRIEVAL, Suite


class Predictor:
    """Records that one variant of the model answers, and its predictions.

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

        `suites` may include few-shot suites and long-context retrieval, whose records are
        generated here.
        `labels` are the labels of each task. `split_records` are the records of the other splits;
        an even sample of them is answered too, without records that exceed the model's context.
        """
        self.model = model
        self.settings = model.settings
        self.suites = suites
        self.labels = labels
        self.seed = seed
        generated: list[Record] = []
        if any(suite.task == RETRIEVAL for suite in self.suites):
            generated = retrieval.generate_records(
                model.count_prompt_tokens, self.settings.retrieval, seed
            )
        generated += few_shot.generate_records(
            self.settings.few_shot, test_records, split_records["train"], labels, seed
        )
        self.few_shot = {setting.name: setting.task for setting in self.settings.few_shot}
        self.test_records = [*test_records, *generated]
        self.perturbed = {suite.task: self._perturb_records(suite) for suite in self.suites}
        self.split_samples = {
            split: [record for suite in suites for record in self._sample_records(suite, part)]
            for split, part in split_records.items()
        }

    def check(self) -> None:
        """Raise UserError, before weights load, if an engine or the context cannot do it."""
        self.model.check_backend(self.suites)
        for suite in self.suites:
            suite_records = [*select_records(suite, self.test_records), *self.perturbed[suite.task]]
            try:
                self.model.check_context(suite, suite_records, self._get_labels(suite))
            except UserError as error:
                if suite.task not in self.few_shot:
                    raise
                raise UserError(
                    f"{error.message}, or the shots of {suite.task} in predict.few_shot"
                ) from None

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
        slice_name = self.settings.robustness.paraphrases
        linked = perturbations.link_paraphrases(predictions, slice_name) if slice_name else []
        result = [row for row in linked if perturbations.PARENT in row.slices]
        for suite in self.suites:
            pairs = self._answer_perturbed(suite, cache)
            result += [
                add_answer(self._build_prediction(record), suite, answer)
                for record, answer in pairs
            ]
        return result

    def measure_lm_eval_accuracies(self) -> dict[str, float]:
        """Return the accuracy that lm-eval measures on a sample of each choice suite."""
        number = self.settings.lm_eval.records
        return {
            suite.task: self.model.measure_lm_eval_accuracy(
                records.sample_evenly(select_records(suite, self.test_records), number),
                self._get_labels(suite),
            )
            for suite in self.suites
            if suite.answer == "choice" and number
        }

    def measure_latency(self) -> dict[str, float]:
        """Measure how fast the model generates answers to some of the test records."""
        generated = [
            record
            for suite in self.suites
            if suite.answer in GENERATED_FORMS and suite.task not in (RETRIEVAL, *self.few_shot)
            for record in select_records(suite, self.test_records)
        ]
        return self.model.measure_latency(records.sample_evenly(generated, latency.PROMPTS))

    def _get_labels(self, suite: Suite) -> list[str]:
        return self.labels.get(self.few_shot.get(suite.task, suite.task), [])

    def _perturb_records(self, suite: Suite) -> list[Record]:
        """Return the perturbed versions of a sample of the suite's records."""
        settings = self.settings.robustness
        if suite.task in self.few_shot or not settings.covers(suite):
            return []
        return [
            version
            for record in records.sample_evenly(
                select_records(suite, self.test_records), settings.records
            )
            for version in perturbations.perturb(
                record, suite.answer, self._get_labels(suite), settings, self.seed
            )
        ]

    def _sample_records(self, suite: Suite, part: Sequence[Record]) -> list[Record]:
        sample = records.sample_evenly(select_records(suite, part), self.settings.split_records)
        labels = self._get_labels(suite)
        return [record for record in sample if self.model.fits_context(suite, record, labels)]

    def _generate(self, cache: ResumeCache) -> None:
        """Generate all answers into the cache, so vLLM starts once, before transformers loads."""
        for suite in self.suites:
            if suite.answer in GENERATED_FORMS:
                self._answer("answers", suite, select_records(suite, self.test_records), cache)
                self._answer_perturbed(suite, cache)
                for split, sample in self.split_samples.items():
                    self._answer(f"{split} answers", suite, select_records(suite, sample), cache)

    def _predict(
        self, all_records: Sequence[Record], cache: ResumeCache, prefix: str = ""
    ) -> list[Prediction]:
        answers: dict[str, tuple[Suite, Answer]] = {}
        for suite in self.suites:
            part = select_records(suite, all_records)
            for record, answer in zip(
                part, self._answer(f"{prefix}answers", suite, part, cache), strict=True
            ):
                answers[record.id] = (suite, answer)
        judged_tasks = {suite.task for suite in self.suites if suite.answer in JUDGED_FORMS}
        with_likelihood = [
            record
            for record in all_records
            if self.model.head is None
            and record.task not in judged_tasks
            and record.task not in self.few_shot
            and record.desirable is not False
            and record.accepted_calls is None
        ]
        losses = cache.map(f"{prefix}losses", with_likelihood, self.model.compute_reference_losses)
        losses_by_id = {
            record.id: (loss, tokens)
            for record, (loss, tokens) in zip(with_likelihood, losses, strict=True)
        }
        unanswered = [
            self._build_prediction(record, *losses_by_id.get(record.id, (None, 0)))
            for record in all_records
        ]
        return [
            add_answer(row, *answers[row.id]) if row.id in answers else row for row in unanswered
        ]

    def _build_prediction(
        self, record: Record, loss: float | None = None, tokens: int = 0
    ) -> Prediction:
        """Return the prediction of a record before it is answered.

        The record's own slices take precedence over `source` and `length`.
        """
        prompt = self.model.encode_prompt(record)
        return Prediction(
            id=record.id,
            task=record.task,
            slices={
                "source": record.source,
                "length": format_length_range(len(prompt)),
                **record.slices,
            },
            tools=record.tools,
            question=record.question,
            prompt=hash_prompt(prompt),
            reference=record.reference,
            loss=None if loss is None else round(loss, 4),
            tokens=tokens,
        )

    def _answer(
        self, kind: str, suite: Suite, part: Sequence[Record], cache: ResumeCache
    ) -> list[Answer]:
        labels = self._get_labels(suite)

        def answer_batch(batch: Sequence[Record]) -> list[Any]:
            return [asdict(answer) for answer in self.model.answer(suite, batch, labels)]

        return [
            Answer(**values) for values in cache.map(f"{kind} {suite.task}", part, answer_batch)
        ]

    def _answer_perturbed(self, suite: Suite, cache: ResumeCache) -> list[tuple[Record, Answer]]:
        """Return the perturbed records of a suite with their answers; resampled ones come last."""
        versions = self.perturbed[suite.task]
        resampled = [record for record in versions if perturbations.is_resampled(record)]
        others = [record for record in versions if not perturbations.is_resampled(record)]

        def sample_batch(batch: Sequence[tuple[Record, int]]) -> list[Any]:
            return [asdict(answer) for answer in self.model.sample(batch, self.seed)]

        samples = cache.map(f"resampled {suite.task}", number_repeats(resampled), sample_batch)
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
    is_multi_label = "labels" in forms
    return Head(
        "multi_label_classification" if is_multi_label else "single_label_classification", names
    )


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
        reasoning=answer.reasoning,
        reasoning_tokens=answer.reasoning_tokens,
        option_scores=scores,
    )


def hash_prompt(ids: list[int]) -> str:
    """Return 16 hex digits of a sha256 over a prompt's token ids."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]


def format_length_range(tokens: int) -> str:
    """Return the range of a length, whose ends grow fourfold: 1-16, 17-64, 65-256 …"""
    low, high = 1, 16
    while tokens > high:
        low, high = high + 1, 4 * high
    return f"{low}-{high}"
