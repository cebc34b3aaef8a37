"""The judges that params.yaml can name: an endpoint or a chat model on this machine."""

from lockstep.hub import auxiliary_models
from lockstep.judging.judge_params import EndpointParams, JudgeParams, ModelParams
from lockstep.judging.judge_prompts import Prompt
from lockstep.llm_client import chat_completions, local_model
from lockstep.models.compute import ComputeParams


def ask_judge(
    prompts: list[Prompt], settings: JudgeParams, compute_params: ComputeParams, seed: int
) -> list[str]:
    """Return the judge's reply to each prompt; replies are cached."""
    if settings.by == "model":
        return _ask_local_model(prompts, settings.model, compute_params, seed)
    return _ask_endpoint(prompts, settings.endpoint)


def _ask_endpoint(prompts: list[Prompt], settings: EndpointParams) -> list[str]:
    requests = [
        {"model": settings.model, "messages": prompt.messages, **settings.options}
        for prompt in prompts
    ]
    return chat_completions.request_replies(requests, settings.url, settings.timeout_seconds)


def _ask_local_model(
    prompts: list[Prompt], settings: ModelParams, compute_params: ComputeParams, seed: int
) -> list[str]:
    return local_model.generate_replies(
        [prompt.messages for prompt in prompts],
        auxiliary_models.resolve_model(settings.folder),
        compute_params,
        seed,
        settings.batch_size,
        settings.max_new_tokens,
    )
