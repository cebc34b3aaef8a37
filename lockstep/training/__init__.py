"""Training: records become a trained adapter or trained weights, and interrupted runs resume.

Start with training_run, which trains and saves; training_plan renders the rows and checks the
settings before that, trainers picks the trainer of each objective, adapters the strategy.
"""
