"""Trainer of the objective grpo, from TRL, made resumable. Imports torch."""

import json
from typing import Any

from trl import GRPOTrainer
from trl.trainer.grpo_trainer import RepeatSampler

from lockstep.training import reward_models, rewards
from lockstep.training.resumable_trainer import ResumableTrainer
from lockstep.training.rewards import Reward
from lockstep.training.train_params import RewardParams
from lockstep.training.training_plan import Plan


class GrpoTrainer(ResumableTrainer, GRPOTrainer):
    """GRPO (Shao et al., 2024); prompts are rendered by lockstep.models.chat."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler: Any = GRPOTrainer._get_train_sampler(self, train_dataset)
        self.sampler = RepeatedEpochSampler(sampler, self.args.seed)
        return self.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        return GRPOTrainer._get_eval_sampler(self, eval_dataset)

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        conversations = [json.loads(prompt) for prompt in prompts]
        ids = [
            self.plan.tokenizer.encode_prompt(conversation["messages"], conversation["tools"])
            for conversation in conversations
        ]
        return ids, None, {}

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]
    ) -> Any:
        """Reward the answers without the reasoning in front of them."""
        answers = [self.plan.tokenizer.parse_answer(ids).text for ids in completion_ids_list]
        return super()._calculate_rewards(inputs, prompts, answers, completion_ids_list)


class RepeatedEpochSampler(RepeatSampler):
    """TRL's RepeatSampler, whose order depends on seed and epoch alone, so it can be resumed."""

    def __init__(self, sampler: RepeatSampler, seed: int) -> None:
        vars(self).update(vars(sampler))
        self.first_seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Seed the generator for an epoch."""
        self.generator.manual_seed(self.first_seed + epoch)


def build_grpo_trainer(common: dict[str, Any], plan: Plan) -> GrpoTrainer:
    """Return the trainer of grpo; `common` are the arguments that all trainers of TRL share."""
    config, model = common["args"], common["model"]
    model.generation_config.eos_token_id = list(plan.tokenizer.end_ids)
    config.reward_weights = [reward.weight for reward in plan.params.grpo.rewards]
    functions: Any = [
        _build_reward(reward, plan, model.config._attn_implementation)
        for reward in plan.params.grpo.rewards
    ]
    return GrpoTrainer(**common, peft_config=plan.adapter_config, reward_funcs=functions)


def _build_reward(reward: RewardParams, plan: Plan, attention: str) -> Reward:
    if reward.kind != "model":
        return rewards.FUNCTIONS[reward.kind]
    return reward_models.load_reward_model(reward.model, plan, attention)
