"""Compare the cost of two runs: time, memory, tokens and speed, from reports/timings."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from lockstep.metrics.metric_display import format_bytes
from lockstep.review.metric_comparison import SHIPPED, is_defined
from lockstep.review.snapshot import Snapshot
from lockstep.statistics.details import Metrics

TIMINGS = "reports/timings"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostChange:
    """A cost on both sides, in words; "" where it is not known."""

    name: str
    base: str
    this: str


def compare_costs(
    base: Snapshot, this: Snapshot, details: tuple[Metrics, Metrics]
) -> list[CostChange]:
    """Return the costs that are known for at least one side."""
    sides = [_describe_costs(side, part) for side, part in zip((base, this), details, strict=True)]
    old, new = sides
    return [
        CostChange(name=name, base=old.get(name, ""), this=new.get(name, ""))
        for name in dict.fromkeys([*new, *old])
    ]


def _describe_costs(side: Snapshot, details: Metrics) -> dict[str, str]:
    """Return {cost: value with its unit}."""
    timings = {PurePosixPath(path).stem: side.read_json(path) for path in side.list_files(TIMINGS)}
    training, train = details.get("training", {}), timings.get("train", {})
    predict = timings.get(f"predict-{SHIPPED}", {})
    seconds = [part["seconds"] for part in timings.values() if is_defined(part.get("seconds"))]
    memory = [part.get("peak_memory_mib", 0) for part in timings.values()]
    costs = {
        "time of all stages": (sum(seconds) or None, "{:,.0f} s"),
        "time of training": (train.get("seconds"), "{:,.0f} s"),
        "largest peak memory of a stage": (max(memory, default=0) or None, "{:,.0f} MiB"),
        "tokens trained on": (training.get("tokens"), "{:,.0f}"),
        "optimizer steps": (training.get("steps"), "{:,.0f}"),
        "trained parameters": (training.get("trained_parameters"), "{:,.0f}"),
        f"{SHIPPED}: time per token": (predict.get("token_ms_p50"), "{:,.2f} ms"),
        f"{SHIPPED}: tokens per second": (predict.get("tokens_per_second_batch_32"), "{:,.0f}"),
    }
    texts = {name: form.format(value) for name, (value, form) in costs.items() if is_defined(value)}
    if step := train.get("resumed_from_step"):
        texts["time of training"] += f" since step {step}, where it resumed"
    if "weight_bytes" in predict:
        texts[f"{SHIPPED}: size of the weights"] = format_bytes(predict["weight_bytes"])
    return texts
