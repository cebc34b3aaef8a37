"""Load, save, merge and quantize models, and set up torch for them.

Start with `loading` and `saving`, for models and tokenizers. `chat` turns records into token ids
and labels through the base's chat template, `compute` sets threads, seeds and the device.
"""
