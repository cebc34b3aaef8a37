"""Run folders of real model families, as hubs publish them, through the pipeline (`make models`).

`__main__.py` writes docs/models.md. The families are defined in `causal_families.py` and
`other_families.py`; `published_folder.py` writes their folders with tiny random weights,
`family_run.py` runs the stages on one, and `exactness.py` compares the results with those of
plain transformers, TRL and PEFT.
"""
