"""Write docs/models.md from the results of the families."""

from collections.abc import Mapping

from lockstep.verify.model_families.family import Family
from lockstep.verify.model_families.family_run import (
    Cell,
    FamilyResult,
    list_failures,
)

INTRODUCTION = """\
# Model families

Which model families go through the pipeline, from the folder that a hub publishes to the answers of
the merged and the quantized model? `make models` runs all stages on {families} families and writes
this page, so do not edit it by hand. {passed} of {families} pass.

Each folder has the architecture, the keys, the special tokens, the chat template, the tensor names
and the file names of the published one. Its sizes are tiny, its weights are random, and its
vocabulary is trained on a few sentences. Chat templates come from TRL where TRL ships them; the
others are written in the format of their family.

`ok`: the stage ended, the comparison is equal (logits to one part in 10,000). `refused`: the stage
ended with an error message for its user. `differs`: the result is not that of the reference.
`crashes`: a traceback. `–`: not run, because an earlier stage gave no result or the check does not
apply.
"""

COLUMNS = {
    "base": "the stage `base` on the folder as published",
    "sft": "the stage `train` with LoRA on all linear layers: chat answers, plain text, "
    "translations (T5, BART) or, for encoders, labels",
    "merge": "the stage `merge`",
    "nf4": "the stage `quantize` with 4-bit weights, which most numbers in the layers' matrices "
    "get",
    "predict": "the stage `predict` for base, merged and quantized",
    "labels": "prompt and row are those of the published template; the trained tokens are the "
    "answer and its end token, and are among those that TRL's training template marks, where TRL "
    "ships one; for encoders, the tokens are those of the plain tokenizer; for translations, see "
    "`greedy`",
    "logits": "the base gives the logits of plain transformers on the published folder, and the "
    "merged folder gives those of base and adapter merged by PEFT in fp32",
    "greedy": "`predict` gives the greedy answers (for encoders, the labels; for plain text, the "
    "loss; for translations, answers and loss) of plain transformers on the merged folder, which "
    "declares every end token of the published one",
}
"""Column -> what was run or compared."""

NOT_TESTED = """\
## Not tested here

- Real weights and real vocabularies: random weights show whether the arithmetic is the same, not
  whether a model is good.
- GPUs, bf16 training, packed rows, and methods other than LoRA.
- Images, audio and video: families that read them are run on text alone.
- Long contexts: a row has at most a few hundred tokens.
"""


def build_page(families: Mapping[str, Family], results: Mapping[str, FamilyResult]) -> str:
    """Return the page: introduction, table, reasons of the failures, and what was not tested."""
    passed = sum(not list_failures(result) for result in results.values())
    lines = [INTRODUCTION.format(families=len(results), passed=passed)]
    lines += ["| column | what was run or compared |", "|---|---|"]
    lines += [f"| {column} | {text} |" for column, text in COLUMNS.items()]
    lines += ["", "## Results", ""]
    lines += [
        f"| family | architecture | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for name, result in sorted(results.items()):
        cells = (result.get(column, Cell("–")).status for column in COLUMNS)
        lines.append(f"| {name} | {families[name].architecture} | {' | '.join(cells)} |")
    reasons = [
        f"{name}, {column}: {failure}"
        for name, result in sorted(results.items())
        for column, failure in list_failures(result).items()
    ]
    if reasons:
        lines += ["", "## Reasons", "", "```text", *reasons, "```"]
    return "\n".join([*lines, "", NOT_TESTED])
