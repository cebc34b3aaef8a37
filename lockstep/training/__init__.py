"""Training: records become a trained adapter or trained weights, and interrupted runs resume.

Start with training_run, which trains and saves. Before that, training_plan renders the rows and
checks the settings. trainers has the trainer of each objective, adapters configures the strategy.
"""
