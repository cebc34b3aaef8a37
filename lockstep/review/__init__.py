"""Compare the model with earlier commits and sum up experiments (`make gates`, `make runs`).

Start reading in `commit_comparison` for the gates and in `run_summary` for the experiments. No
stage uses this package.
"""
