"""Let a judge compare and score the answers of the variants, on the dimensions of a rubric."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.hub import auxiliary_models
from lockstep.judging import cases, judge_metrics, judgements, rubric
from lockstep.judging.judge_params import Endpoint, Judge
from lockstep.judging.judge_prompts import Prompt
from lockstep.llm_client import chat_completions, local_model, response_cache
from lockstep.models import compute
from lockstep.params import Section, Seed


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    judge: Judge


def by_endpoint(prompts: list[Prompt], endpoint: Endpoint) -> list[str]:
    """The endpoint's reply to each prompt, asked once and kept."""
    requests = [
        {"model": endpoint.model, "messages": prompt.messages, **endpoint.options}
        for prompt in prompts
    ]
    return chat_completions.texts(requests, endpoint.url, endpoint.timeout_seconds)


def by_model(prompts: list[Prompt], chosen: Params) -> list[str]:
    """The reply to each prompt of a chat model that runs here; all are kept together."""
    model = chosen.judge.model
    folder = auxiliary_models.resolve_model(model.folder)
    how = chosen.compute.attention, model.batch_size, model.max_new_tokens
    conversations = [prompt.messages for prompt in prompts]
    key = response_cache.key(outputs.hash_path(folder), *how, conversations)
    if not response_cache.path(key).exists():
        compute.set_up_torch(chosen.compute, chosen.seed)
        response_cache.keep(key, local_model.texts(conversations, folder, *how))
    return list(response_cache.read(key))


@click.command(help=__doc__)
@click.argument("evaluated", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("told", metavar="RUBRIC", type=IN_FILE)
@click.argument("out", type=OUT)
def main(evaluated: Path, test: Path, told: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.judge
    wording = rubric.read(told, settings.dimensions)
    found: list[judgements.Judgement] = []
    if settings.by != "none":
        rows = cases.read(evaluated, test, settings)

        def ask(prompts: list[Prompt]) -> list[str]:
            if settings.by == "model":
                return by_model(prompts, chosen)
            return by_endpoint(prompts, settings.endpoint)

        found = judgements.judge(rows, wording, settings, ask)
    result = judge_metrics.of(found, settings) if found else {}
    with outputs.atomic_folder(out) as partial:
        judgements.write(partial / "judgements.jsonl", found)
        outputs.write_json(partial / "figures.json", result)
    unread = sum(judgement.verdicts is None for judgement in found)
    click.echo(f"judge: {len(found)} judgements, {unread} unreadable", err=True)


if __name__ == "__main__":
    run(main)
