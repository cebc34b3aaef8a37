"""Check that weight files are complete and hold finite numbers."""

from pathlib import Path

from lockstep.errors import UserError


def check_weights(folder: Path) -> None:
    """Raise UserError if a weight file is truncated or holds NaN or infinite numbers.

    Each tensor is read once, and no two of them are in memory at a time.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                        raise UserError(
                            f"{path}: {name} holds NaN or infinite numbers; train again with a "
                            "lower learning rate"
                        )
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path}: not a complete safetensors file ({error}); run `dvc repro merge`"
            ) from None
