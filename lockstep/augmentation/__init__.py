"""Augmentation: rephrased copies of training records.

Start with `augmented_records`, which applies the methods of `methods` and checks their results.
"""
