"""Merge the adapter into the original base and prove that the answers stay the same."""

import json
from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.errors import UserError
from lockstep.models import chat, compute, model_io, soft_prompt
from lockstep.params import PositiveFloat, PositiveInt, Section, Seed

LONGEST = 512
"""Tokens of a prompt on which logits are compared; an encoder reads no more."""


class Merge(Section):
    """How the merged model is held against base plus adapter."""

    prompts: PositiveInt
    """Validation prompts, evenly spread, on which logits are compared."""
    tolerance: PositiveFloat
    """Largest difference between two logits that is accepted."""


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    weights: model_io.WeightsParams
    merge: Merge


def logits(model: Any, prompts: list[list[int]]) -> list[Any]:
    """A tensor (tokens, vocabulary) in float32 on the CPU for each prompt, or (numbers,).

    What a soft prompt adds in front is left out.
    """
    import torch

    with torch.inference_mode():
        return [
            model(input_ids=torch.tensor([ids], device=model.device))
            .logits[0][-len(ids) :]
            .float()
            .cpu()
            for ids in prompts
        ]


def largest_difference(one: list[Any], other: list[Any]) -> float:
    """The largest absolute difference of two logits; NaN where either has one."""
    import torch

    pairs = zip(one, other, strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())


def merge_adapter(base: Any, adapter: Path, prompts: list[list[int]], limit: float) -> Any:
    """(merged model, largest logit difference to base plus adapter); UserError beyond the limit."""
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(base, adapter).eval()
    before = logits(adapted, prompts)
    if adapted.active_peft_config.is_prompt_learning:
        learnt, merged = soft_prompt.extract_soft_prompt(adapted), adapted.get_base_model()
        soft_prompt.attach_soft_prompt(merged, learnt)
    else:
        merged = adapted.merge_and_unload(safe_merge=True)
    difference = largest_difference(before, logits(merged, prompts))
    if not difference <= limit:
        raise UserError(
            f"merged logits differ by {difference:.3g} from base plus adapter, more than "
            f"merge.tolerance {limit}; raise it only if the base's precision explains it"
        )
    return merged, difference


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("trained", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("out", type=OUT)
def main(base: Path, trained: Path, validation: Path, out: Path) -> None:
    chosen = params.read(Params)
    source = trained / "model"
    with outputs.atomic_folder(out) as partial:
        if (source / "adapter_config.json").exists():
            compute.set_up_torch(chosen.compute, chosen.seed)
            tokenizer = model_io.load_tokenizer(source)
            rows = records.sample_evenly(list(records.read(validation)), chosen.merge.prompts)
            prompts = [chat.encode_input(tokenizer, record, LONGEST)[0] for record in rows]
            head, attention = model_io.read_head(source), chosen.compute.attention
            model = model_io.load_model(base, "auto", attention, compute.select_device(), head=head)
            model, difference = merge_adapter(model, source, prompts, chosen.merge.tolerance)
            model_io.save_model(model, partial, chosen.weights.max_shard_gb)
            model_io.save_tokenizer(tokenizer, partial)
            if head:
                model_io.write_head(head, partial)
            fact = {"prompts": len(prompts), "largest_logit_difference": float(f"{difference:.3g}")}
        else:
            for file in sorted(source.iterdir()):
                outputs.link_or_copy(file, partial / file.name)
            fact = {"prompts": 0, "largest_logit_difference": 0.0}
        outputs.write_json(partial / "merge.json", fact)
    click.echo(f"merge: {json.dumps(fact)}", err=True)


if __name__ == "__main__":
    run(main)
