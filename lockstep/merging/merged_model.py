"""Write the folder of a merged model: weights by shards, configuration, and the proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.merging import adapter_combination, adapter_folder, parity, shard_merge, skeleton
from lockstep.merging.layer_differences import LayerDifferences
from lockstep.merging.merge_params import MergeParams
from lockstep.merging.parity import MergeDifferences, Prompt
from lockstep.merging.shard_merge import NotShardableError, Source
from lockstep.models import base_format, heads, loading, placement, saving, weight_check
from lockstep.models.heads import Head


@dataclass(frozen=True, slots=True)
class Merge:
    """The models and settings of a merge."""

    base: Path
    trained: Path
    """Folder of the trained adapter, or of weights that were trained whole."""
    adapters: Path
    """Folder with the adapters that params name."""
    head: Head | None
    params: MergeParams
    attention: str
    max_shard_gb: float
    seed: int

    def write(self, out: Path, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """Write the merged model into a folder, and return the content of merge.json."""
        if adapter_folder.is_adapter(self.trained):
            differences, statement = self._write_with_adapter(out, prompts)
        elif self.params.weights:
            raise UserError(
                "params.yaml: merge.adapters and trained_weight need a trained LoRA adapter, but "
                "whole weights were trained; set train.strategy to lora, or leave them out"
            )
        else:
            differences, statement = self._write_trained(out, prompts), {}
        base_format.copy_other_files(self.base, out)
        if self.head:
            heads.write_head(self.head, out)
        by_layers = {"parity": "layers"} if self.params.parity == "layers" else {}
        return {"prompts": len(prompts), **differences.round(), **by_layers, **statement}

    def _write_with_adapter(
        self, out: Path, prompts: Sequence[Prompt]
    ) -> tuple[MergeDifferences, dict[str, Any]]:
        """Write the base with the adapters; return the differences and what was merged."""
        meta_model = skeleton.load_meta_model(self.base, "auto", self.attention, self.head)
        folders = {"trained": self.trained}
        folders |= {adapter.path: self.adapters / adapter.path for adapter in self.params.adapters}
        adapter, temporary = self.trained, out / "combined"
        if self.params.weights:
            combined = adapter_combination.combine_adapters(
                meta_model, self.base, folders, self.params, self.seed
            )
            adapter_combination.save_combination(combined, temporary)
            adapter = temporary
        statement = adapter_combination.describe_adapters(folders, self.params)
        layers = LayerDifferences() if self.params.parity == "layers" else None
        is_written = self._write_shards(Source(self.base, meta_model, adapter, layers), out)
        if layers:
            parity.check_difference(layers.merging, self.params.tolerance)
            differences = MergeDifferences(layers.merging, layers.cast)
        else:
            differences = self._compare_logits(adapter, out, prompts, is_written)
        outputs.remove(temporary)
        return differences, statement

    def _write_shards(self, source: Source, out: Path) -> bool:
        """Write the weights by shards; return False if that needs the whole model in memory."""
        try:
            shard_merge.write_shards(source, out, self.max_shard_gb)
        except NotShardableError as error:
            if source.differences:
                raise UserError(
                    f"params.yaml: merge.parity: layers: {error}, so the model must be loaded as a "
                    "whole; set it to logits"
                ) from None
            click.echo(f"merge: {error}, so it is loaded as a whole", err=True)
            return False
        return True

    def _compare_logits(
        self, adapter: Path, out: Path, prompts: Sequence[Prompt], is_written: bool
    ) -> MergeDifferences:
        """Merge the whole model in memory, compare it with the files or write them."""
        devices = placement.choose_devices(self.base)
        model = loading.load_model(self.base, "auto", self.attention, devices, head=self.head)
        merged, differences = parity.merge_adapter(model, adapter, prompts, self.params.tolerance)
        if is_written:
            parity.check_files(merged, out)
        else:
            self._save_whole(merged, out)
        return differences

    def _write_trained(self, out: Path, prompts: Sequence[Prompt]) -> MergeDifferences:
        """Write weights that were trained whole in the base's precision and configuration.

        Training keeps its weights in 32 bits, and trainers set keys of the configuration, such as
        `output_router_logits`.
        """
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.base, local_files_only=True)
        dtype = base_format.read_dtype(self.base, config)
        devices = placement.choose_devices(self.base)
        meta_model = skeleton.load_meta_model(self.trained, dtype, self.attention, None)
        base_format.restore_config(meta_model.config, config, self.head)
        if not self._write_shards(Source(self.trained, meta_model), out):
            model = loading.load_model(self.trained, dtype, self.attention, devices)
            base_format.restore_config(model.config, config, self.head)
            self._save_whole(model, out)
        if self.params.parity == "layers":
            return MergeDifferences(0.0, 0.0)
        if self.head:
            heads.write_head(self.head, out)  # the model is loaded with it
        cast = parity.compute_cast_difference(self.trained, out, prompts, self.attention, devices)
        return MergeDifferences(0.0, cast)

    def _save_whole(self, model: Any, out: Path) -> None:
        """Write a model that is in memory."""
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        weight_check.check_space(out, size)
        saving.save_model(model, out, self.max_shard_gb)
