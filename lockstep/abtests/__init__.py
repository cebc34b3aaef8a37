"""A/B tests of two served models: plan the size, and test the outcomes as they come in.

Start reading in `serving.abtest_plan`, the file that states a test, and in `abtest_results`, which
`make abtest` prints. `serving.abtest_routing` assigns the users. No stage uses this package.
"""
