"""Print results, compare the model with earlier commits.

Start reading in `terminal_summary` for the table of `make`, in `comparison` for `make review`.
No stage uses this package.
"""
