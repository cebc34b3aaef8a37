"""Ask one variant of the model for its answers. Start reading in `predictor.py`.

`predictor` chooses the records, `variant_model` answers them. `perturbations` and `retrieval`
create further records, `lm_eval_tasks` calls lm-eval, `resume_cache` saves the answers of a run.
"""
