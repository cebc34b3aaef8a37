"""Prove that a commit reproduces: run it again in a clone and compare every hash (`make verify`).

Start reading in `reproduction`, which runs the proof and prints the result.
"""
