"""Compute the geometry of the loss curves; the page's template draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 420, 210
"""Size of the drawing."""
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 26
"""Margins around the curves."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Geometry of a drawing of size WIDTH by HEIGHT; its origin is at the top left."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    loss: list[Point]
    validation: list[Point]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def draw_curve(log: Sequence[dict[str, Any]]) -> Curve:
    """Return the curves of training and validation loss over steps; both axes start at zero."""
    losses = [(row["step"], row["loss"]) for row in log if row["loss"] is not None]
    validation_losses = [
        (r["step"], r["validation_loss"]) for r in log if r["validation_loss"] is not None
    ]
    points = losses + validation_losses
    xs = choose_ticks(max((step for step, _ in points), default=1.0))
    ys = choose_ticks(max((loss for _, loss in points), default=1.0))
    last = max(max((step for step, _ in points), default=1.0), 1.0)

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / last, 1)

    def y(loss: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * loss / ys[-1], 1)

    return Curve(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        loss=[(x(step), y(loss)) for step, loss in losses],
        validation=[(x(step), y(loss)) for step, loss in validation_losses],
        x_ticks=[(x(value), f"{value:,g}") for value in xs if value <= last],
        y_ticks=[(y(value), f"{value:,g}") for value in ys],
    )


def choose_ticks(highest: float) -> list[float]:
    """Return 0 and multiples of 1, 2 or 5 times a power of ten; the last covers `highest`."""
    highest = max(highest, 1e-9)
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [round(index * step, 12) for index in range(math.ceil(highest / step - 1e-9) + 1)]
