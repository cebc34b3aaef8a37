"""Back-translation: one model translates into another language, a second one translates back."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError, report_load_errors
from lockstep.models import compute
from lockstep.progress import track_progress


def back_translate(
    texts: Sequence[str], there: Path, back: Path, batch_size: int, max_new_tokens: int
) -> list[str]:
    """Translate the texts with the model in `there`, then with the one in `back`.

    Back-translation was proposed by Sennrich, Haddow and Birch (2016). Decoding is greedy. An
    empty text stays empty.
    """
    translations = _translate(texts, there, batch_size, max_new_tokens)
    return _translate(translations, back, batch_size, max_new_tokens)


def _translate(
    texts: Sequence[str], folder: Path, batch_size: int, max_new_tokens: int
) -> list[str]:
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": False}
    with report_load_errors(str(folder)):
        if not AutoConfig.from_pretrained(folder, **options).is_encoder_decoder:
            raise UserError(f"{folder}: not a seq2seq model; name a translation model")
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **options)
    model = model.to(compute.select_device()).eval()
    translations = [""] * len(texts)
    not_empty = [index for index, text in enumerate(texts) if text]
    by_length = sorted(not_empty, key=lambda index: len(texts[index]))
    with track_progress(str(folder), len(by_length), "translations") as progress:
        for start in range(0, len(by_length), batch_size):
            indices = by_length[start : start + batch_size]
            batch = tokenizer(
                [texts[index] for index in indices],
                return_tensors="pt",
                padding=True,
                truncation=True,
            ).to(model.device)
            with torch.inference_mode():
                token_ids = model.generate(
                    **batch, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens
                )
            decoded = tokenizer.batch_decode(token_ids, skip_special_tokens=True)
            for index, text in zip(indices, decoded, strict=True):
                translations[index] = text.strip()
            progress.move_to(start + len(indices))
    return translations
