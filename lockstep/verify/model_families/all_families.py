"""All families by name, in the order of the table."""

from lockstep.verify.model_families import (
    encoder_families,
    gemma_families,
    gpt_families,
    llama_families,
    mistral_phi_families,
    qwen_families,
)
from lockstep.verify.model_families.family import Family

_MODULES = (
    encoder_families, gemma_families, gpt_families, llama_families, mistral_phi_families,
    qwen_families,
)  # fmt: skip

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in sorted(
        (family for module in _MODULES for family in module.FAMILIES),
        key=lambda family: family.name,
    )
}
"""Name -> family."""
