"""Fine-tune as the scripts of tutorials do: SFTTrainer with LoRA or QLoRA.

benchmarks.training and benchmarks.gpu run it as `plain_trl.py BASE ROWS.jsonl SETTINGS`. SETTINGS
is a JSON object: `lora` (options of LoraConfig), `quantized` (whether the base is in nf4),
`device` (cpu or cuda), `precision` (bf16 or fp32) and `arguments` (options of SFTConfig).
"""

import json
import sys
import time
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Clock(TrainerCallback):
    """Notes when the first step begins, as Lockstep's progress does."""

    started = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started = time.perf_counter()


def main() -> None:
    """Train on the rows, save the adapter in the folder `plain` and print the seconds."""
    base, rows, text = sys.argv[1:]
    settings = json.loads(text)
    model_arguments: dict[str, Any] = {}
    if settings["quantized"]:
        model_arguments = {
            "device_map": settings["device"],
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            ),
        }
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, **model_arguments),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=load_dataset("json", data_files=rows, split="train"),
        peft_config=LoraConfig(**settings["lora"], task_type="CAUSAL_LM"),
        args=SFTConfig(
            output_dir="plain",
            num_train_epochs=1.0,
            lr_scheduler_type="cosine",
            logging_steps=5,
            bf16=settings["precision"] == "bf16",
            use_cpu=settings["device"] == "cpu",
            report_to="none",
            save_strategy="no",
            **settings["arguments"],
        ),
    )
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    print(f"trained in {time.perf_counter() - clock.started:.2f} s")
    trainer.save_model("plain")


if __name__ == "__main__":
    main()
