"""Generate answers with a sequence-to-sequence model: greedy in batches, or sampled one by one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.inference.generation import compute_draw_seed
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer

KEPT_OPTIONS = (
    "bad_words_ids",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "pad_token_id",
)
"""Options of the folder's generation configuration that belong to the architecture.

Marian, for example, starts with its padding token and must never generate it. The others, such as
beams, penalties and length limits, would change greedy answers.
"""


@dataclass(frozen=True, slots=True)
class Seq2SeqGenerator:
    """An `AnswerGenerator` for a sequence-to-sequence model that transformers has loaded."""

    model: Any
    tokenizer: ChatTokenizer
    batch_size: int

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """Return the greedy answer to each source, generated in batches of similar length."""
        return generate_answers(
            self.model, self.tokenizer, prompts, self.batch_size, max_new_tokens
        )

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Return a sampled answer to each pair of a source and the number of its draw.

        Every answer has its own random seed and is generated alone, so the other sources cannot
        change it.
        """
        import torch

        answers = []
        for prompt, draw in prompts:
            torch.manual_seed(compute_draw_seed(prompt, draw, seed))
            answers += _generate_batch(
                self.model,
                self.tokenizer,
                [prompt],
                max_new_tokens,
                do_sample=True,
                temperature=temperature,
                top_k=0,
            )
        return answers


def generate_answers(
    model: Any,
    tokenizer: ChatTokenizer,
    sources: Sequence[list[int]],
    batch_size: int,
    max_new_tokens: int,
) -> list[GeneratedAnswer]:
    """Return the greedy answer to each source, up to an end token or `max_new_tokens`."""
    answers: dict[int, GeneratedAnswer] = {}
    for batch in batch_by_length([len(source) for source in sources], batch_size):
        batch_sources = [sources[i] for i in batch]
        generated = _generate_batch(
            model, tokenizer, batch_sources, max_new_tokens, do_sample=False
        )
        answers.update(zip(batch, generated, strict=True))
    return [answers[i] for i in range(len(sources))]


def time_tokens(model: Any, sources: list[list[int]], fill: int, tokens: int) -> list[float]:
    """Return the seconds of each decoding step; the first step includes encoding the sources."""
    import torch

    ids, mask = (part.to(model.device) for part in pad_rows(sources, fill))
    start_token = model.generation_config.decoder_start_token_id
    decoder_ids = torch.full((len(sources), 1), start_token, device=model.device)
    encoder_outputs, cache, times = None, None, []
    for _ in range(tokens):
        start = time.perf_counter()
        with torch.inference_mode():
            if encoder_outputs is None:
                encoder_outputs = model.get_encoder()(input_ids=ids, attention_mask=mask)
            output = model(
                encoder_outputs=encoder_outputs,
                attention_mask=mask,
                decoder_input_ids=decoder_ids,
                past_key_values=cache,
                use_cache=True,
            )
        decoder_ids, cache = output.logits[:, -1:].argmax(-1), output.past_key_values
        decoder_ids[0, 0].item()  # waits until the device has finished
        times.append(time.perf_counter() - start)
    return times


def _generate_batch(
    model: Any,
    tokenizer: ChatTokenizer,
    sources: Sequence[list[int]],
    max_new_tokens: int,
    **options: Any,
) -> list[GeneratedAnswer]:
    """Generate one answer to each source with a configuration that has these options."""
    import torch
    from transformers import GenerationConfig

    declared = model.generation_config
    settings = {name: getattr(declared, name, None) for name in KEPT_OPTIONS}
    if settings["decoder_start_token_id"] is None:  # config.json has the one that training uses
        settings["decoder_start_token_id"] = getattr(model.config, "decoder_start_token_id", None)
    model.generation_config = GenerationConfig(
        **settings, eos_token_id=list(tokenizer.end_ids), **options
    )
    ids, mask = pad_rows(sources, fill=tokenizer.pad_token_id)
    with torch.inference_mode():
        sequences = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max_new_tokens,
        )
    model.generation_config = declared
    rows = sequences[:, 1:].tolist()  # the first token is the decoder's start token
    forces_end = settings["forced_eos_token_id"] is not None
    return [_decode(tokenizer, row, max_new_tokens, forces_end) for row in rows]


def _decode(
    tokenizer: ChatTokenizer, ids: list[int], max_new_tokens: int, forces_end: bool
) -> GeneratedAnswer:
    """Decode the tokens before the first end token.

    With `forces_end` the last of `max_new_tokens` tokens is an end token in any case, so an answer
    of this length is truncated.
    """
    ends = [place for place, token in enumerate(ids) if token in tokenizer.end_ids]
    end = ends[0] if ends else len(ids)
    truncated = not ends or (forces_end and end == max_new_tokens - 1)
    text = tokenizer.pretrained.decode(
        ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return GeneratedAnswer(text, truncated)
