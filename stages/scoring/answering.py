"""A loaded variant of the model, and the answers that it gives."""

from collections.abc import Sequence
from pathlib import Path

from stages import chat, compute, models
from stages.models import Head
from stages.records import Record
from stages.scoring import generation, harness, heads, likelihood
from stages.scoring.suites import Evaluate, Suite


class Answering:
    """A model that writes text, or ends in numbers; `suite.answer` says how it is asked."""

    def __init__(self, folder: Path, attention: str, chosen: Evaluate, head: Head | None) -> None:
        """`head` is put on a base that has none: random, so its answers are chance."""
        self.chosen = chosen
        self.head = models.read_head(folder) or head
        self.tokenizer = models.load_tokenizer(folder)
        new = None if models.read_head(folder) else head
        self.model = models.load(folder, "auto", attention, compute.device(), head=new)
        self.model.config.pad_token_id = self.tokenizer.pad_token_id

    def answers(self, suite: Suite, rows: Sequence[Record], labels: Sequence[str]) -> list[str]:
        """What the model answers to each record of a suite; `labels` are those of its task."""
        if suite.answer == "choice":
            return self._choose(rows, labels)
        if suite.answer == "preference":
            return self._prefer(rows)
        return self._write(rows) if self.head is None else self._decide(self.head, rows)

    def losses(self, rows: Sequence[Record]) -> list[likelihood.Loss]:
        """How unlikely each expected answer is."""
        examples = [chat.example(self.tokenizer, row, self.chosen.max_length) for row in rows]
        return likelihood.answer_losses(self.model, examples, self.chosen.batch_size)

    def second_opinion(self, rows: Sequence[Record], labels: Sequence[str]) -> float:
        """Accuracy on the same records by lm-eval."""
        return harness.accuracy(self.model, self.tokenizer, rows, labels, self.chosen.batch_size)

    def _choose(self, rows: Sequence[Record], labels: Sequence[str]) -> list[str]:
        choices = [chat.answer_ids(self.tokenizer, label) for label in labels]
        scores = likelihood.choice_scores(
            self.model, self._prompts(rows), choices, self.chosen.batch_size
        )
        return [labels[max(range(len(labels)), key=row.__getitem__)] for row in scores]

    def _write(self, rows: Sequence[Record]) -> list[str]:
        size, tokens = self.chosen.batch_size, self.chosen.max_new_tokens
        prompts = self._prompts(rows)
        return generation.answers(self.model, self.tokenizer, prompts, size, tokens)

    def _decide(self, head: Head, rows: Sequence[Record]) -> list[str]:
        inputs = [chat.input_ids(self.tokenizer, row, self.chosen.max_length)[0] for row in rows]
        return [heads.answer(head, numbers) for numbers in self._numbers(inputs)]

    def _prefer(self, rows: Sequence[Record]) -> list[str]:
        """The answer with the greater reward or, of a model that writes, the likelier one."""
        others = [row.with_answer(row.rejected or "") for row in rows]
        chosen, rejected = self._merits(rows), self._merits(others)
        return [
            (row if ours > theirs else other).answer
            for row, other, ours, theirs in zip(rows, others, chosen, rejected, strict=True)
        ]

    def _merits(self, rows: Sequence[Record]) -> list[float]:
        """The reward of each answer or, of a model that writes, its log-likelihood in nats."""
        if self.head is None:
            return [-loss for loss, _ in self.losses(rows)]
        length = self.chosen.max_length
        inputs = [chat.example(self.tokenizer, row, length).input_ids for row in rows]
        return [numbers[0] for numbers in self._numbers(inputs)]

    def _numbers(self, inputs: Sequence[list[int]]) -> list[list[float]]:
        fill, size = self.tokenizer.pad_token_id, self.chosen.batch_size
        return heads.outputs(self.model, inputs, fill, size)

    def _prompts(self, rows: Sequence[Record]) -> list[list[int]]:
        return [chat.prompt_ids(self.tokenizer, row.prompt, row.tools) for row in rows]
