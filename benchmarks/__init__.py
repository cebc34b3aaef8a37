"""Compare speed and memory with other tools, as ratios on one machine (`make bench`).

Start reading in `training`. docs/benchmarks.md has the results.
"""
