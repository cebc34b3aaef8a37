"""Print results, compare the model with earlier commits, summarize experiments.

Start reading in `terminal_summary` for the table of `make`, in `comparison` for `make review`
and in `run_summary` for `make runs`. No stage uses this package.
"""
