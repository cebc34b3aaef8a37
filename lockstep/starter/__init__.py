"""Pre-train the starter model that is committed in data/starter.

`make starter` runs the pipeline in data/starter/pretraining; its last stage is `python -m
lockstep.starter`. The main pipeline does not use this package: its `base` stage reads the
committed weights. Start with `pretraining`.
"""
