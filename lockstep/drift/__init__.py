"""Drift: do the requests that the gateway logged look like the training records?

Start reading in `drift_results`, which compares both; `drift_tests` has the statistics. No stage
uses this package.
"""
