"""Run folders of real model families, as hubs publish them, through the pipeline (`make models`).

`__main__.py` runs the families of `all_families.py` and writes docs/models.md. `family.py` says
what defines a family, `published_folder.py` writes its folder with tiny random weights,
`family_run.py` runs the stages on one, and `exactness.py` compares the results with those of plain
transformers, TRL and PEFT.
"""
