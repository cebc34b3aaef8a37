"""Statistics over the predictions of all variants: intervals, paired tests, gates.

Start at details.py, which assembles reports/details.json.
"""
