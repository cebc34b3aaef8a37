"""Cleaning of texts in named steps.

`cleaner` applies the steps; `protected_text` says what they leave alone.
"""
