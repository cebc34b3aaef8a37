"""Run experiments by the dozen: grids, folds, learning curves, seeds, bases; workers; results.

Start reading in `__main__`: it has one command for each make verb. No stage uses this package.
"""
