"""Checks across the sections of params.yaml, one module per section.

`all_checks.CHECKS` collects them; add a new check there. `reference_checks` checks the test records
against the suites before a model is loaded.
"""
