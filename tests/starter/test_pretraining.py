"""Pre-training is reproducible and learns; the tokenizer suits a tiny model."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.starter import pretraining
from lockstep.starter.pretraining import LogRow


def write_text(documents: list[str], path: Path) -> Path:
    path.write_text("".join(json.dumps({"turns": [line]}) + "\n" for line in documents))
    return path


@pytest.fixture
def text(documents: list[str], tmp_path: Path) -> Path:
    """File with the documents."""
    return write_text(documents, tmp_path / "text.jsonl")


def train_starter(
    text: Path, params: pretraining.StarterParams, seed: int = 7
) -> tuple[Any, Any, list[LogRow]]:
    """Train a starter from equal random weights."""
    import torch

    torch.manual_seed(7)
    return pretraining.train_starter(text, params, "eager", seed)


def test_two_trainings_are_identical(text: Path, starter_params: pretraining.StarterParams):
    import torch

    (model, tokenizer, log), (other_model, other_tokenizer, other_log) = (
        train_starter(text, starter_params) for _ in range(2)
    )
    assert log == other_log
    assert tokenizer.backend_tokenizer.to_str() == other_tokenizer.backend_tokenizer.to_str()
    others = other_model.state_dict()
    assert model.state_dict().keys() == others.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, others[name]), name


def test_the_seed_changes_the_batches(text: Path, starter_params: pretraining.StarterParams):
    _, _, log = train_starter(text, starter_params)
    _, _, other_log = train_starter(text, starter_params, seed=8)
    assert log != other_log


@pytest.mark.parametrize(
    ("evaluation_steps", "steps"),
    [(2, [2, 4, 5]), (5, [5]), (100, [5])],
    ids=["rest", "last", "longer than the run"],
)
def test_losses_are_logged_every_evaluation_steps_and_at_the_end(
    text: Path, starter_params: pretraining.StarterParams, evaluation_steps: int, steps: list[int]
):
    """The run has two copying steps and three steps on the text."""
    params = starter_params.model_copy(update={"evaluation_steps": evaluation_steps})
    _, _, log = train_starter(text, params)
    assert [row.step for row in log] == steps
    uniform = math.log(params.vocabulary)  # loss of a uniform prediction
    for row in log:
        assert 0 < row.loss < 1.5 * uniform and 0 < row.validation_loss < 1.5 * uniform


def test_the_training_loss_is_the_mean_since_the_row_before(
    text: Path, starter_params: pretraining.StarterParams
):
    """Measuring the validation loss draws no random numbers, so both runs take equal steps."""
    each = starter_params.model_copy(update={"evaluation_steps": 1})
    _, _, log_of_each = train_starter(text, each)
    _, _, log = train_starter(text, starter_params)
    losses = [row.loss for row in log_of_each]
    expected = [sum(losses[0:2]) / 2, sum(losses[2:4]) / 2, losses[4]]
    assert [row.loss for row in log] == pytest.approx(expected)
    assert [row.validation_loss for row in log] == [
        log_of_each[i].validation_loss for i in (1, 3, 4)
    ]


def test_validation_documents_are_not_trained_on(
    documents: list[str], starter_params: pretraining.StarterParams, tmp_path: Path
):
    """Text that occurs in the validation documents only is not learnt."""
    params = starter_params.model_copy(update={"copying_steps": 0, "steps": 60})
    foreign = ["zyx wvu tsr qpo nml kji hgf"] * params.validation_documents
    _, _, log = train_starter(write_text(foreign + documents, tmp_path / "text.jsonl"), params)
    assert log[-1].loss < 2 < 4 < log[-1].validation_loss


@pytest.mark.slow
def test_pretraining_lowers_both_losses(text: Path, starter_params: pretraining.StarterParams):
    longer = starter_params.model_copy(update={"copying_steps": 0, "steps": 60})
    _, _, log = train_starter(text, longer)
    uniform = math.log(starter_params.vocabulary)  # loss of a uniform prediction
    assert log[-1].loss < 0.5 * uniform
    assert log[-1].validation_loss < 0.5 * uniform


@pytest.fixture
def pretrained(tokenizer: ChatTokenizer) -> Any:
    """The tiny model's tokenizer of transformers, as pre-training uses it."""
    return tokenizer.pretrained


def test_every_digit_is_a_token_of_its_own(pretrained: Any):
    ids = pretrained("order 1024 在2026年")["input_ids"]
    pieces = [pretrained.decode([i]) for i in ids]
    assert [piece for piece in pieces if any(map(str.isdigit, piece))] == list("10242026")


def test_a_word_keeps_the_space_before_it(starter_params: pretraining.StarterParams):
    tokenizer = pretraining.train_tokenizer([["my order\nmy order"] * 9], starter_params)
    assert tokenizer.tokenize("my order\nmy") == ["my", "Ġorder", "Ċ", "my"]


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order 42?",
        "请取消订单 42，谢谢！",
        "退款 refund 😀 ①\n\ttabs  and   spaces ",
        "café naïve 𠮷",
        "a , b . isn 't",
    ],
)
def test_decoding_restores_the_text(pretrained: Any, text: str):
    assert pretrained.decode(pretrained(text)["input_ids"]) == text


def test_the_vocabulary_contains_control_tokens_and_bytes(
    pretrained: Any, starter_params: pretraining.StarterParams
):
    assert len(pretrained) <= starter_params.vocabulary
    assert [pretrained.convert_tokens_to_ids(token) for token in pretraining.CONTROL_TOKENS] == [
        0,
        1,
        2,
    ]
    assert (pretrained.eos_token, pretrained.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_each_line_is_one_document(tmp_path: Path):
    path = tmp_path / "text.jsonl"
    path.write_text('{"turns": ["a\\n"]}\n{"turns": ["退款", "好的"]}\n', encoding="utf-8")
    assert pretraining.read_documents(path) == [["a\n"], ["退款", "好的"]]


def test_a_line_separator_inside_a_text_does_not_end_its_line(tmp_path: Path):
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"turns": ["a\u2028b\x85c"]}, ensure_ascii=False), encoding="utf-8")
    assert pretraining.read_documents(path) == [["a\u2028b\x85c"]]


@pytest.mark.parametrize(
    "line",
    ["not JSON", "{}", "[]", '"text"', '{"turns": []}', '{"turns": [1]}', '{"turns": "text"}'],
)
def test_a_line_without_turns_is_an_error(tmp_path: Path, line: str):
    (tmp_path / "text.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="every line must be JSON"):
        pretraining.read_documents(tmp_path / "text.jsonl")


def test_too_little_text_is_an_error(text: Path, starter_params: pretraining.StarterParams):
    large = starter_params.model_copy(update={"batch_tokens": 100_000, "copying_steps": 0})
    with pytest.raises(UserError, match=r"lower starter\.batch_tokens"):
        train_starter(text, large)


def test_too_short_validation_documents_are_an_error(
    text: Path, starter_params: pretraining.StarterParams
):
    """One document is shorter than a sequence of 32 tokens."""
    short = starter_params.model_copy(update={"validation_documents": 1})
    with pytest.raises(
        UserError, match=r"shorter than one sequence; raise starter\.validation_documents"
    ):
        train_starter(text, short)


def test_heads_must_divide_the_width_evenly(starter_params: pretraining.StarterParams):
    """Rotary embeddings need an even width of each head."""
    with pytest.raises(ValueError, match="hidden_size 130 must be an even multiple of heads 2"):
        pretraining.StarterParams(**{**starter_params.model_dump(), "hidden_size": 130})


def test_every_key_of_the_starter_is_required():
    fields = pretraining.StarterParams.model_fields
    assert [name for name, field in fields.items() if not field.is_required()] == []


def test_at_most_all_heads_look_back(starter_params: pretraining.StarterParams):
    with pytest.raises(ValueError, match="look_back_heads 3 must be at most 2"):
        pretraining.StarterParams(**{**starter_params.model_dump(), "look_back_heads": 3})


def test_the_first_heads_start_by_attending_to_the_tokens_before(
    pretrained: Any, starter_params: pretraining.StarterParams
):
    """Head h of the first block attends most to the token h + 1 places before; others do not."""
    import torch

    torch.manual_seed(0)
    params = starter_params.model_copy(update={"heads": 4, "look_back_heads": 3})
    model = pretraining.build_model(pretrained, params, "eager")
    ids = torch.randint(3, len(pretrained), (1, 40))
    with torch.no_grad():
        (weights,) = model(input_ids=ids, output_attentions=True).attentions[0]
    for head in range(3):
        shift = head + 1
        assert (weights[head, shift:].argmax(-1) == torch.arange(40 - shift)).all(), head
    assert (weights[3, 1:].argmax(-1) == torch.arange(39)).float().mean() < 0.5


def test_turns_of_a_document_alternate_between_user_and_assistant():
    assert pretraining.format_turns(0, ["a"]) == ["<|im_start|>user\na<|im_end|>\n"]
    assert pretraining.format_turns(1, ["a"]) == ["<|im_start|>assistant\na<|im_end|>\n"]
    assert pretraining.format_turns(1, ["a", "b"]) == [
        "<|im_start|>user\na<|im_end|>\n",
        "<|im_start|>assistant\nb<|im_end|>\n",
    ]


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_the_loss_is_the_weighted_mean_of_answers_and_other_tokens(
    starter_params: pretraining.StarterParams, weight: float, monkeypatch: pytest.MonkeyPatch
):
    """With losses of 3 on answers and 1 elsewhere, the mean shows the weight.

    A third of the tokens are answers: a document with two turns and one with a single turn,
    all of the same length.
    """
    import torch

    class Model(torch.nn.Linear):
        """Stands for a model; the losses are given."""

    def compute_losses(model: Any, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        is_answer = batch[1].flatten()
        return (1.0 + 2 * is_answer) * (1 + 0 * model.weight.sum()), is_answer

    monkeypatch.setattr(pretraining, "_compute_losses", compute_losses)
    monkeypatch.setattr(pretraining, "_build_optimizers", lambda model, params: ([], []))
    params = starter_params.model_copy(
        update={"copying_steps": 0, "steps": 90, "answer_weight": weight, "evaluation_steps": 90}
    )

    def encode(texts: list[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[5] * 4 for _ in texts]}

    documents = [["a", "b"], ["a"]] * 2000
    (*_, row) = pretraining.pretrain(Model(1, 1), encode, documents, params, 7)
    assert row.loss == pytest.approx((2 + 3 * weight) / (2 + weight), rel=0.02)
    assert row.validation_loss == pytest.approx(5 / 3, rel=0.05)
    assert row.answer_loss == pytest.approx(3)


def test_losses_of_tokens_are_those_of_transformers_and_answers_are_the_second_turns(
    pretrained: Any, starter_params: pretraining.StarterParams
):
    model = pretraining.build_model(pretrained, starter_params, "eager")
    stream = pretraining._encode(pretrained, [["Where is it?", "退款。"], ["one"], ["two"]])
    tokens, is_answer = stream
    assert pretrained.decode(tokens[is_answer == 1]) == "<|im_start|>assistant\n退款。<|im_end|>\n"
    losses, is_answer_predicted = pretraining._compute_losses(model, stream[:, None])
    reference = model(input_ids=tokens[None], labels=tokens[None]).loss
    assert losses.mean().item() == pytest.approx(reference.item(), rel=1e-5)
    assert is_answer_predicted.tolist() == is_answer[1:].tolist()
