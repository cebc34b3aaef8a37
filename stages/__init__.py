"""The stages of the pipeline: one click command per file, named as in dvc.yaml."""
