"""Metrics: predictions -> numbers, without a model.

Start at registry.py, which lists the metrics of each answer form.
"""
