"""Back-translation: into another language by one model and back by another."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError, report_load_errors
from lockstep.models import compute


def there_and_back(
    texts: Sequence[str], there: Path, back: Path, batch_size: int, max_new_tokens: int
) -> list[str]:
    """Each text as it comes back (Sennrich, Haddow and Birch, 2016), greedily decoded."""
    return _translate(
        _translate(texts, there, batch_size, max_new_tokens), back, batch_size, max_new_tokens
    )


def _translate(
    texts: Sequence[str], folder: Path, batch_size: int, max_new_tokens: int
) -> list[str]:
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": False}
    with report_load_errors(str(folder)):
        if not AutoConfig.from_pretrained(folder, **options).is_encoder_decoder:
            raise UserError(f"{folder}: no seq2seq model; name one that translates")
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **options)
    model = model.to(compute.select_device()).eval()
    translated = dict.fromkeys(range(len(texts)), "")
    said = [place for place, text in enumerate(texts) if text]
    by_length = sorted(said, key=lambda place: len(texts[place]))
    for at in range(0, len(said), batch_size):
        places = by_length[at : at + batch_size]
        batch = tokenizer(
            [texts[place] for place in places], return_tensors="pt", padding=True, truncation=True
        ).to(model.device)
        with torch.inference_mode():
            ids = model.generate(
                **batch, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens
            )
        decoded = tokenizer.batch_decode(ids, skip_special_tokens=True)
        translated.update(zip(places, decoded, strict=True))
    return [text.strip() for text in translated.values()]
