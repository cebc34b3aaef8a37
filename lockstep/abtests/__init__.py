"""A/B tests of two served models: assign users, plan the size, test the outcomes as they come in.

Start reading in `abtest_plan`, the file that states a test, and in `abtest_results`, which
`make abtest` prints. No stage uses this package.
"""
