"""Compare results of the stages with those of plain transformers, TRL and PEFT.

Each check takes a family, its workspace, the records and the labels, and raises `Difference`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.models import loading
from lockstep.models.chat import IGNORE_INDEX
from lockstep.models.heads import Head
from lockstep.records import Record
from lockstep.verify.model_families import plain_models
from lockstep.verify.model_families.family import Family

TOLERANCE = 1e-4
"""Largest accepted difference of two logits, relative to the largest logit."""
LOSS_TOLERANCE = 1e-3
"""Largest accepted relative difference of the loss of an answer."""
ROUNDING = 1e-4
"""Absolute difference that the rounding in predictions.jsonl may make."""
MAX_LENGTH = 400
"""Number of tokens that no row reaches."""


class Difference(Exception):  # noqa: N818  it is a finding, not an error of the program
    """A result differs from that of the reference."""


def check_labels(
    family: Family, workspace: Path, rows: Sequence[Record], labels: Sequence[str]
) -> None:
    """Compare rows and labels with the published template and with TRL's training template."""
    tokenizer = loading.load_tokenizer(workspace / "base")
    plain = plain_models.load_tokenizer(workspace / "published")
    ends = plain_models.read_end_ids(workspace / "published") | {plain.eos_token_id}
    for record in rows:
        if family.objective == "classification":
            text = record.prompt[-1]["content"]
            _expect_equal("input", tokenizer.encode_input(record, MAX_LENGTH)[0],
                          plain(text)["input_ids"], plain)  # fmt: skip
        elif family.objective == "chat":
            example = tokenizer.encode_example(record, MAX_LENGTH)
            prompt = tokenizer.encode_prompt(record.prompt)
            _check_chat_row(family, plain, record, prompt, example.input_ids, example.labels)
            if example.input_ids[-1] not in ends:
                raise Difference(f"the row ends with {plain.decode(example.input_ids[-1:])!r}")
        elif family.objective == "text":
            example = tokenizer.encode_example(record, MAX_LENGTH)
            ids = plain(record.answer, add_special_tokens=False)["input_ids"]
            begin = plain.eos_token_id if plain.bos_token_id is None else plain.bos_token_id
            _expect_equal("row", example.input_ids, [begin, *ids, plain.eos_token_id], plain)


def _check_chat_row(
    family: Family,
    plain: Any,
    record: Record,
    prompt: list[int],
    row: list[int],
    labels: list[int],
) -> None:
    """Check a row: the prompt, then the labels, which are the answer and its end token.

    Of the tokens that TRL marks as the assistant's, the prompt already holds the header of the
    answer, and a row leaves out what follows the end token.
    """
    continues_prompt = True
    if family.template:
        expected = _render(plain, record.prompt, family, add_generation_prompt=True)
        _expect_equal("prompt", prompt, expected, plain)
        conversation = _render(plain, record.messages, family)
        continues_prompt = conversation[: len(prompt)] == prompt
        if continues_prompt:  # R1's prompt opens the reasoning, which the conversation leaves out
            written = row[: len(conversation)]  # an end token that the template lacks may follow
            _expect_equal("row", written, conversation[: len(row)], plain)
    _expect_equal("row", row[: len(prompt)], prompt, plain)
    if labels != [*[IGNORE_INDEX] * len(prompt), *row[len(prompt) :]]:
        raise Difference("the labels are not what follows the prompt")
    trained = plain.decode(row[len(prompt) :])
    if record.answer not in trained:
        raise Difference(f"the labels lack the answer: {trained!r}")
    training_template = family.read_training_template()
    has_earlier_answer = len(record.messages) > 2  # TRL's templates may write it in another way
    if not training_template or has_earlier_answer or not continues_prompt:
        return
    encoding = plain.apply_chat_template(
        record.messages, chat_template=plain_models.fix_date(training_template),
        return_dict=True, return_assistant_tokens_mask=True, **family.template_options,
    )  # fmt: skip
    _expect_equal("row by TRL's template", row, encoding["input_ids"][: len(row)], plain)
    mask = encoding["assistant_masks"]
    if not all(mask[len(prompt) : len(row)]):
        masked = [token for token, mark in zip(encoding["input_ids"], mask, strict=True) if mark]
        raise Difference(f"labels are {trained!r}, TRL's mask is {plain.decode(masked)!r}")


def check_base_logits(
    family: Family, workspace: Path, rows: Sequence[Record], labels: Sequence[str]
) -> None:
    """Compare the logits of the base with those of the published folder, both in fp32.

    An encoder has no logits before it is trained; its last hidden states are compared.
    """
    head = None
    if family.objective == "classification":
        head = Head("single_label_classification", list(labels))
    ours = loading.load_model(workspace / "base", "float32", "eager", "cpu", head=head)
    published = plain_models.load_published(workspace / "published", family.objective)
    if head is not None:
        ours = ours.base_model
    tokenizer = plain_models.load_tokenizer(workspace / "published")
    _compare_outputs("base logits", ours, published, tokenizer, rows)


def check_merged_logits(
    family: Family, workspace: Path, rows: Sequence[Record], labels: Sequence[str]
) -> None:
    """Compare the logits of the merged folder with the base and adapter that PEFT merges in fp32.

    The reference is rounded to the number format in which the merged folder is stored.
    """
    from peft import PeftModel

    base = plain_models.load_published(
        workspace / "published", family.objective, labels if _has_head(family) else ()
    )
    reference = PeftModel.from_pretrained(base, workspace / "trained/model").merge_and_unload()
    stored = plain_models.load_saved(workspace / "merged", family.objective, "auto")
    dtypes = {name: parameter.dtype for name, parameter in stored.named_parameters()}
    for name, parameter in reference.named_parameters():
        parameter.data = parameter.data.to(dtypes.get(name, parameter.dtype)).float()
    merged = plain_models.load_saved(workspace / "merged", family.objective, "float32")
    tokenizer = plain_models.load_tokenizer(workspace / "merged")
    _compare_outputs("merged logits", merged, reference.eval(), tokenizer, rows)


def check_quantized_weights(
    family: Family, workspace: Path, rows: Sequence[Record], labels: Sequence[str]
) -> None:
    """Check that most numbers in the matrices of the layers are stored in 4 bits.

    Routers, convolutions and the matrices that transformers keeps in fp32 (T5) are the rest.
    """
    total = plain_models.count_layer_numbers(workspace / "merged")
    left = plain_models.count_layer_numbers(workspace / "quantized")
    if left > total / 2:
        raise Difference(f"{left:,} of {total:,} numbers in the layers are not quantized")


def check_answers(
    family: Family, workspace: Path, rows: Sequence[Record], labels: Sequence[str]
) -> None:
    """Compare the answers of the merged model with those of plain transformers on its folder."""
    _check_end_tokens(workspace)
    model = plain_models.load_saved(workspace / "merged", family.objective, "auto")
    tokenizer = plain_models.load_tokenizer(workspace / "merged")
    answers = {
        prediction.id: prediction
        for prediction in predictions.read(workspace / "predicted/merged/predictions.jsonl")
    }
    for record in rows:
        answer = answers[record.id]
        if family.objective in ("text", "translation"):
            source = record.prompt[-1]["content"] if record.prompt else ""
            loss = plain_models.compute_loss(model, tokenizer, source, record.answer)
            limit = LOSS_TOLERANCE * loss + ROUNDING
            if answer.loss is None or abs(answer.loss - loss) > limit:
                raise Difference(f"loss {answer.loss}, plain transformers {loss:.4f}")
        if family.objective == "text":
            continue
        if record.task == "intent" and family.objective == "chat":
            continue  # the likeliest label, not generated text
        if family.objective == "classification":
            expected = plain_models.classify(model, tokenizer, record.prompt[-1]["content"])
        else:
            if family.objective == "chat":
                ids = _render(tokenizer, record.prompt, family, add_generation_prompt=True)
            else:
                ids = tokenizer(record.prompt[-1]["content"])["input_ids"]
            expected = plain_models.generate(model, tokenizer, ids, 16, family.answer_mark)
        if answer.prediction.strip() != expected.strip():
            raise Difference(
                f"greedy answer {answer.prediction!r}, plain transformers {expected!r}"
            )


def _has_head(family: Family) -> bool:
    return family.objective == "classification"


def _check_end_tokens(workspace: Path) -> None:
    """Check that the merged folder declares every end token of the published one."""
    published, merged = (
        plain_models.read_end_ids(workspace / name) for name in ("published", "merged")
    )
    if not published <= merged:
        raise Difference(f"the merged folder lacks the end tokens {sorted(published - merged)}")


def _render(plain: Any, messages: list[Any], family: Family, **options: Any) -> list[int]:
    """Return the ids that a chat template writes."""
    encoding = plain.apply_chat_template(
        messages, tokenize=True, return_dict=True, **family.template_options, **options
    )
    ids: list[int] = encoding["input_ids"]
    return ids


def _compare_outputs(
    name: str, model: Any, reference: Any, tokenizer: Any, rows: Sequence[Record]
) -> None:
    """Raise Difference if two models give other logits for the texts of the first records."""
    for record in rows[:4]:
        ids = tokenizer(record.messages[0]["content"])["input_ids"]
        ours, theirs = (plain_models.compute_output(each, ids) for each in (model, reference))
        difference = float((ours - theirs).abs().max())
        if not difference <= TOLERANCE * float(theirs.abs().max()):
            raise Difference(
                f"{name} differ by {difference:.2g} (the largest is {theirs.abs().max():.2g})"
            )


def _expect_equal(name: str, ours: list[int], theirs: list[int], plain: Any) -> None:
    """Raise Difference with both texts where two lists of token ids differ."""
    if ours == theirs:
        return
    pairs = zip(ours, theirs, strict=False)
    start = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    texts = [json.dumps(plain.decode(ids[start : start + 8]), ensure_ascii=False)
             for ids in (ours, theirs)]  # fmt: skip
    raise Difference(f"{name} differs at token {start}: {texts[0]}, the template {texts[1]}")
