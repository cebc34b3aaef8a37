"""The sections of params.yaml and their schemas."""

from lockstep.augmentation.augment_params import AugmentParams
from lockstep.data.prepare_params import PrepareParams
from lockstep.hub.base_params import BaseParams
from lockstep.human.human_params import HumanParams
from lockstep.judging.judge_params import JudgeParams
from lockstep.merging.merge_params import MergeParams
from lockstep.models.compute import ComputeParams, RuntimeParams
from lockstep.models.quantization import QuantizeParams
from lockstep.models.saving import WeightsParams
from lockstep.params import Section, Seed
from lockstep.predicting.predict_params import PredictParams
from lockstep.reporting.report_params import ReportParams
from lockstep.serving.serving_params import ServingParams
from lockstep.statistics.evaluate_params import EvaluateParams
from lockstep.training.train_params import TrainParams


class Parameters(Section):
    """All of params.yaml, in the order of the pipeline."""

    seed: Seed
    """Seed of every random choice."""
    compute: ComputeParams
    weights: WeightsParams
    base: BaseParams
    prepare: PrepareParams
    augment: AugmentParams
    train: TrainParams
    merge: MergeParams
    quantize: QuantizeParams
    predict: PredictParams
    judge: JudgeParams
    human: HumanParams
    evaluate: EvaluateParams
    report: ReportParams
    runtime: RuntimeParams
    serving: ServingParams = ServingParams()
