"""Fetch models from the hub or from a local folder, after checks that they are safe to load.

Start with `base_model`, which fetches the base model. `auxiliary_models` resolves the other models
that stages use, such as a judge or a translator.
"""
