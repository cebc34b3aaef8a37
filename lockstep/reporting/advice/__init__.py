"""Advice: what limits the model and what to try next, from stated rules.

Start in `collected_advice.py`. Each rule is a function that yields advice if its condition
holds. Conditions compare intervals, so that noise fires no rule; thresholds are constants with a
reason or a source.
"""
