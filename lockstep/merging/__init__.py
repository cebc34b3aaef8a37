"""Merge adapters into the base and prove that the result computes what was trained.

Start reading in `shard_merge`, which writes the weights; `parity` compares outputs in memory.
"""
