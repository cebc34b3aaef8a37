"""Rules on training: number of epochs, learning rate, capacity, truncated rows."""

from collections.abc import Iterator, Sequence
from statistics import fmean

import scipy  # loads scipy.stats on first use

from lockstep.metrics.metric_display import spell_out
from lockstep.reporting.advice.advice_item import MODEL, TRAINING, Advice, RunResults
from lockstep.reporting.metric_texts import name_subject
from lockstep.reporting.split_gaps import GapRow, list_gaps
from lockstep.reporting.texts import Text, capitalize
from lockstep.statistics.confidence_intervals import CONFIDENCE
from lockstep.statistics.split_gap import TRAIN, VALIDATION

MAX_RISE = 0.05
"""Rise of the validation loss over its minimum from which training went on for too long: the
criterion GL of 5% of Prechelt, Early Stopping - But When? (1998)."""
MIN_FALL = 0.05
"""Fall of a loss that is worth more training: MAX_RISE in the other direction."""
MIN_LOSSES = 10
"""Number of logged losses from which the last fifth is compared with the fifth before it."""
FITTED = 0.9
"""Share of correct answers to training records below which the model does not fit its own data:
then size, rate and epochs are the limit, and more data is not (Goodfellow, Bengio and Courville,
Deep Learning, 2016, section 11.3). One in ten wrong is our own choice."""
MAX_TRUNCATED = 0.05
"""Share of truncated training rows that costs the end of an answer too often; our own choice."""


def advise_on_epochs(run: RunResults) -> Iterator[Advice]:
    """Validation loss rises: fewer epochs. It is lowest at the end and still falls: more."""
    losses = [
        (row["validation_loss"], row["step"])
        for row in run.log
        if row["validation_loss"] is not None
    ]
    if len(losses) < 2:
        return
    best, step = min(losses)
    last, last_step = losses[-1]
    previous = losses[-2][0]
    epochs = run.settings["train"]["epochs"]
    if last > (1 + MAX_RISE) * best:
        enough = epochs * step / last_step
        yield Advice(
            rule="validation_loss_rises",
            area=TRAINING,
            finding=Text(
                f"Validation loss was lowest at step {step:,.0f} ({best:.3f}) and ended at "
                f"{last:.3f}: the model learns its training rows by heart.",
                f"验证损失在第 {step:,.0f} 步最低（{best:.3f}），结束时为 {last:.3f}："
                "模型开始死记训练数据。",
            ),
            action=Text(
                f"Set train.epochs to about {enough:.2g} (now {epochs:g}), or set "
                "train.early_stopping.",
                f"把 train.epochs 降到约 {enough:.2g}（现为 {epochs:g}），"
                "或设置 train.early_stopping。",
            ),
            more="epochs-rate-and-size",
        )
    elif last == best and last < (1 - MIN_FALL) * previous:
        yield Advice(
            rule="validation_loss_still_falls",
            area=TRAINING,
            finding=Text(
                f"Validation loss is lowest at the end and fell from {previous:.3f} to "
                f"{last:.3f} since the evaluation before.",
                f"验证损失在结束时最低，自上次评测以来由 {previous:.3f} 降到 {last:.3f}。",
            ),
            action=Text(
                f"Try twice the epochs (train.epochs: {2 * epochs:g}).",
                f"可把训练轮数加倍（train.epochs: {2 * epochs:g}）。",
            ),
            more="epochs-rate-and-size",
        )


def advise_on_rate(run: RunResults) -> Iterator[Advice]:
    """Training loss rises at the end, or still falls where no validation loss can tell."""
    losses = [row["loss"] for row in run.log if row["loss"] is not None]
    if len(losses) < MIN_LOSSES:
        return
    part = len(losses) // 5
    earlier, later = losses[-2 * part : -part], losses[-part:]
    low, high = _compare_means(earlier, later)
    rate = run.settings["train"]["learning_rate"]
    if low > MAX_RISE * fmean(earlier):
        yield Advice(
            rule="training_loss_rises",
            area=TRAINING,
            finding=Text(
                f"Training loss rose from {fmean(earlier):.3f} to {fmean(later):.3f} in the last "
                "two fifths of training.",
                f"训练损失在最后五分之二的步数里由 {fmean(earlier):.3f} 升到 {fmean(later):.3f}。",
            ),
            action=Text(
                f"Lower train.learning_rate (now {rate:g}), for example to a third, or raise "
                "train.warmup.",
                f"降低 train.learning_rate（现为 {rate:g}），例如降到三分之一，"
                "或增大 train.warmup。",
            ),
            more="epochs-rate-and-size",
        )
    evaluations = sum(row["validation_loss"] is not None for row in run.log)
    if evaluations < 2 and high < -MIN_FALL * fmean(earlier):
        yield Advice(
            rule="training_loss_still_falls",
            area=TRAINING,
            finding=Text(
                f"Training loss still fell, from {fmean(earlier):.3f} to {fmean(later):.3f} in the "
                "last two fifths, and the validation loss was measured only once.",
                f"训练损失仍在下降：最后五分之二的步数里由 {fmean(earlier):.3f} 降到 "
                f"{fmean(later):.3f}，而验证损失只测过一次。",
            ),
            action=Text(
                "Train for more epochs (train.epochs) and set train.evaluation_steps lower, to see "
                "when the validation loss rises.",
                "增加 train.epochs，并调小 train.evaluation_steps，以便看到验证损失何时上升。",
            ),
            more="epochs-rate-and-size",
        )


def advise_on_fit(run: RunResults) -> Iterator[Advice]:
    """Errors on training records: size or rate. A proven gap to validation records: data."""
    for row in list_gaps(run.results):
        train = row.splits[TRAIN]
        if row.is_proven and row.display.percent:
            yield _advise_on_gap(row)
        elif row.display.percent and train["interval"][1] < FITTED:
            yield _advise_on_capacity(row, run.settings["train"]["strategy"])


def advise_on_length(run: RunResults) -> Iterator[Advice]:
    """Many training rows are truncated: a longer maximum."""
    trained = run.summaries["trained"]
    truncated, rows = trained["rows_truncated"], trained["rows"]
    if truncated > MAX_TRUNCATED * rows:
        length = run.settings["train"]["max_length"]
        yield Advice(
            rule="rows_truncated",
            area=TRAINING,
            finding=Text(
                f"{truncated:,} of {rows:,} training rows are truncated, so the model does not "
                "learn how their answers end.",
                f"{rows:,} 条训练数据中有 {truncated:,} 条被截断，模型学不到这些回答的结尾。",
            ),
            action=Text(
                f"Raise train.max_length (now {length:,} tokens), or shorten the rows.",
                f"增大 train.max_length（现为 {length:,} 个词元），或缩短数据。",
            ),
        )


def _advise_on_gap(row: GapRow) -> Advice:
    subject = name_subject(row.task, row.name)
    train, other = (
        row.display.format(row.splits[split]["metric"]) for split in (TRAIN, VALIDATION)
    )
    return Advice(
        rule="gap_to_validation",
        area=TRAINING,
        finding=Text(
            f"{capitalize(subject).en}: {train} on training records, {other} on validation "
            "records. The model remembers more than it understands.",
            f"{subject.zh}：训练数据 {train}，验证数据 {other}。模型记住的多于理解的。",
        ),
        action=Text(
            "Add varied training rows; or train less: fewer train.epochs, a smaller "
            "train.adapter.r, more train.weight_decay or train.adapter.lora_dropout.",
            "增加多样的训练数据；或减少训练：调小 train.epochs、train.adapter.r，"
            "或增大 train.weight_decay、train.adapter.lora_dropout。",
        ),
        more="epochs-rate-and-size",
    )


def _advise_on_capacity(row: GapRow, strategy: str) -> Advice:
    subject = name_subject(row.task, row.name)
    train = row.display.format(row.splits[TRAIN]["metric"])
    larger = (
        Text("a larger base (base.source)", "更大的基座模型（base.source）")
        if strategy == "full"
        else Text(
            "more trained parameters (train.adapter.r, train.strategy: full) or a larger base",
            "更多可训练参数（train.adapter.r、train.strategy: full）或更大的基座模型",
        )
    )
    return Advice(
        rule="misfits_training_data",
        area=MODEL,
        finding=Text(
            f"{capitalize(subject).en} is only {train} on the model's own training records, with "
            f"{spell_out(strategy)} tuning: more data would not help yet.",
            f"{subject.zh}在模型自己的训练数据上也只有 {train}（{strategy}）：现在增加数据没有用。",
        ),
        action=Text(
            f"Try a higher train.learning_rate or more train.epochs first, then {larger.en}; check "
            "the labels of the rows that it gets wrong.",
            f"先提高 train.learning_rate 或增加 train.epochs，再试{larger.zh}；"
            "并检查答错的数据的标注。",
        ),
        more="another-base",
    )


def _compare_means(earlier: Sequence[float], later: Sequence[float]) -> tuple[float, float]:
    """Return Welch's interval of the mean of the later values minus that of the earlier ones."""
    result = scipy.stats.ttest_ind(later, earlier, equal_var=False)
    interval = result.confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)
