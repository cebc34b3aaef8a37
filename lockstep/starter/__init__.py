"""Pre-train the tiny starter model, so that the pipeline runs without a download.

Start with `pretraining`.
"""
