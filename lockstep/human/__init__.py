"""Human ratings: blind sheets of answers, the ratings that come back, and their metrics.

Start with `rating_sheet`, which draws the sheets, then `rating_metrics`, which reads the ratings.
`grading_form` writes such sheets for records instead of answers.
"""
