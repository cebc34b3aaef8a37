"""The sections of params.yaml and their schemas."""

import importlib
from typing import Any

from lockstep.augmentation.augment_params import AugmentParams
from lockstep.data.prepare_params import PrepareParams
from lockstep.hub.base_params import BaseParams
from lockstep.human.rating_items import HumanParams
from lockstep.judging.judge_params import Judge
from lockstep.models.compute import ComputeParams, RuntimeParams
from lockstep.models.model_io import WeightsParams
from lockstep.params import Section, Seed
from lockstep.predicting.predict_params import Asked
from lockstep.starter.pretraining import StarterParams
from lockstep.statistics.gates import Judged
from lockstep.training.train_params import Strategies, Train

# until these classes have moved into packages
MergeParams: Any = importlib.import_module("stages.merge").Merge
QuantizeParams: Any = importlib.import_module("stages.quantize").Quantize
ReportParams: Any = importlib.import_module("stages.report").Report


class EvaluateParams(Asked, Judged, Section):
    """All keys of the section."""


class Parameters(Section):
    """All of params.yaml, in the order of the pipeline."""

    seed: Seed
    """Seed of every random choice."""
    compute: ComputeParams
    weights: WeightsParams
    base: BaseParams
    starter: StarterParams
    prepare: PrepareParams
    augment: AugmentParams
    train: Train
    strategies: Strategies
    merge: MergeParams
    quantize: QuantizeParams
    evaluate: EvaluateParams
    judge: Judge
    human: HumanParams
    report: ReportParams
    runtime: RuntimeParams
