"""All families by name, in the order of the table."""

from lockstep.verify.model_families import causal_families, encoder_families, qwen_gemma_families
from lockstep.verify.model_families.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in sorted(
        [
            *causal_families.FAMILIES,
            *qwen_gemma_families.FAMILIES,
            *encoder_families.FAMILIES,
        ],
        key=lambda family: family.name,
    )
}
