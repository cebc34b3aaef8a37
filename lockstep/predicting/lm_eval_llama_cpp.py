"""Let lm-eval ask a GGUF file through llama.cpp, with the tokens that it gives to transformers."""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models import utils
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from lockstep.errors import UserError
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.inference.llama_cpp_generation import generate_ids
from lockstep.inference.llama_cpp_likelihood import score_answer
from lockstep.models.chat import ChatTokenizer

MAX_NEW_TOKENS = 256
"""Maximum number of tokens of an answer where a task sets none, as for lm-eval's other models."""


class LlamaCppLM(TemplateLM):
    """A model of lm-eval that llama.cpp has loaded. It encodes texts as lm-eval's HFLM does."""

    def __init__(self, runtime: LlamaCpp, tokenizer: ChatTokenizer, max_length: int) -> None:
        """Wrap a model; `max_length` is the maximum number of tokens that it reads."""
        super().__init__()
        self.runtime = runtime
        self.tokenizer = tokenizer.pretrained
        self.end_ids = tokenizer.end_ids
        self.max_length = max_length

    @property
    def eot_token_id(self) -> int:
        """Return the token that ends a text."""
        end: int = self.tokenizer.eos_token_id
        return self.end_ids[0] if end is None else end

    @property
    def prefix_token_id(self) -> int:
        """Return the token before a text that has no context."""
        begin: int | None = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else begin

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Return the ids of a text, by default with the special tokens that it does not spell."""
        if add_special_tokens is None:
            prefix = self.tokenizer.decode(self.prefix_token_id)
            add_special_tokens = not utils.has_bos_prefix(string, prefix)
        ids: list[int] = self.tokenizer.encode(string, add_special_tokens=add_special_tokens)
        return ids

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the log-likelihood of each text, read in windows of the model's length."""
        totals = []
        for request in requests:
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length - 1,
                context_len=1,
            )
            parts = [(("", ""), *make_disjoint_window(window)) for window in windows]
            scores = self._loglikelihood_tokens(parts)
            totals.append(sum(score for score, _ in scores))
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the greedy answer to each context, up to a stop sequence of its task."""
        return [self._generate(*request.args) for request in requests]

    def _generate(self, context: str, settings: dict[str, Any]) -> str:
        options = utils.normalize_gen_kwargs(settings, MAX_NEW_TOKENS)
        if options["do_sample"]:
            raise UserError(
                "params.yaml: predict.lm_eval.tasks: llama.cpp answers no task that samples its "
                "answers; remove it, or set quantize.method to nf4 or int8"
            )
        eos = self.tokenizer.decode(self.eot_token_id)
        stops = utils.handle_stop_sequences(options["until"], eos=eos)
        max_new_tokens = options["max_gen_toks"]
        prompt = self.tok_encode(context)[-(self.max_length - max_new_tokens) :]
        ids = generate_ids(self.runtime, prompt, max_new_tokens, self.end_ids, stop=stops, **GREEDY)
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return utils.postprocess_generated_text(text, stops, None)

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation, and whether greedy decoding gives it."""
        results = []
        for _, context, continuation in requests:
            room = self.max_length - len(continuation)
            scores = score_answer(self.runtime, context[-room:], continuation, self.end_ids[0])
            total = sum(score for score, _ in scores)
            results.append((total, all(is_best for _, is_best in scores)))
        return results
