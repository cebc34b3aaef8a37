"""A second opinion: lm-eval scores the same records with its own code."""

import contextlib
import io
import logging
from collections.abc import Sequence
from typing import Any

from stages import chat
from stages.records import Record


def accuracy(
    model: Any, tokenizer: Any, rows: Sequence[Record], labels: Sequence[str], batch_size: int
) -> float:
    """Share of right choices by lm-eval's multiple-choice scoring of the same prompts."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    choices = [chat.answer_text(tokenizer, label) for label in labels]
    documents = [
        {
            "prompt": chat.prompt_text(tokenizer, row.prompt, row.tools),
            "choices": choices,
            "gold": labels.index(row.answer),
        }
        for row in rows
    ]
    task = ConfigurableTask(
        config={
            "task": "choice",
            "custom_dataset": lambda **_: {"test": Dataset.from_list(documents)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "target_delimiter": "",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars of seconds
        scorer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        # not simple_evaluate, which looks at the whole machine first: pip list, git, CPU
        results = evaluate(scorer, {"choice": task}, bootstrap_iters=0, log_samples=False)
    return float(results["results"]["choice"]["acc,none"])
