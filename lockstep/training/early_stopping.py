"""Early stopping: which evaluation was the best, and whether waiting for a better one is over."""

from lockstep.training import training_log
from lockstep.training.train_params import EarlyStopping
from lockstep.training.training_log import History


def best(history: History, stopping: EarlyStopping) -> int:
    """Which evaluation of a log it was, from 0; a later one must be better by more than
    `min_change`. -1 before the first."""
    sign = -1 if stopping.metric in training_log.LOWER_IS_BETTER else 1
    highest, found = float("-inf"), -1
    for index, (_, figures) in enumerate(training_log.evaluations(history)):
        figure = sign * figures[stopping.metric]
        if figure > highest + (stopping.min_change if found >= 0 else 0.0):
            highest, found = figure, index
    return found


def is_over(history: History, stopping: EarlyStopping) -> bool:
    """Whether `patience` evaluations in a row were no better; decided by the log alone."""
    if not stopping.patience:  # its metric need not be measured then
        return False
    since = len(training_log.evaluations(history)) - 1 - best(history, stopping)
    return stopping.patience <= since
