"""LoRA adapters with random weights, in the form that PEFT publishes."""

from pathlib import Path
from typing import Any

from lockstep.models import loading
from lockstep.models.heads import Head


def save_lora(
    base: Path, folder: Path, seed: int, head: Head | None = None, **options: Any
) -> Path:
    """Write a LoRA adapter of rank 4 of the query and value layers; options change it."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **options}
    task = "SEQ_CLS" if head else "CAUSAL_LM"
    config = LoraConfig(init_lora_weights=False, task_type=task, **settings)
    model = loading.load_model(base, "float32", "eager", "cpu", head=head)
    get_peft_model(model, config).save_pretrained(folder)
    return folder
