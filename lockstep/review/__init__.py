"""Print results, compare the model with earlier commits.

Start reading in `terminal_summary` for the table of `make` and in `commit_comparison` for
`make gates`. No stage uses this package.
"""
