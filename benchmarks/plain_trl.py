"""Fine-tune as the scripts of tutorials do: SFTTrainer with LoRA and its defaults.

benchmarks.training and benchmarks.gpu run it as
`plain_trl.py BASE ROWS.jsonl BATCH LORA cpu|gpu bf16|fp32`.
"""

import json
import sys

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


def main() -> None:
    """Train on the rows and save the adapter in the folder `plain`."""
    base, rows, batch, lora, device, precision = sys.argv[1:]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=load_dataset("json", data_files=rows, split="train"),
        peft_config=LoraConfig(**json.loads(lora), task_type="CAUSAL_LM"),
        args=SFTConfig(
            output_dir="plain",
            num_train_epochs=1.0,
            per_device_train_batch_size=int(batch),
            learning_rate=2e-4,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            logging_steps=5,
            max_length=512,
            bf16=precision == "bf16",
            use_cpu=device == "cpu",
            report_to="none",
            save_strategy="no",
        ),
    )
    trainer.train()
    trainer.save_model("plain")


if __name__ == "__main__":
    main()
