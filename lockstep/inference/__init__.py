"""Run loaded models: generate answers, compute likelihoods and the outputs of heads.

Start with `generation`. `vllm_backend` generates the same answers with vLLM on a GPU.
"""
