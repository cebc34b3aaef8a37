"""The number of tokens that a model can read."""

from typing import Any

OFFSET_POSITIONS = (
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
"""Model types whose first position is the one after the padding token's id, as in fairseq."""


def read_context(config: Any) -> int | None:
    """Return the maximum number of tokens of an input; None if the configuration states none.

    RoBERTa has 514 positions, but its first two are never used.
    """
    text_config = config.get_text_config()
    positions = getattr(text_config, "max_position_embeddings", None)
    if positions is None or positions < 1:  # XLNet has -1
        return None
    if text_config.model_type in OFFSET_POSITIONS:
        return positions - text_config.pad_token_id - 1
    return positions
