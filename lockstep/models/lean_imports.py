"""Keep transformers and PEFT from importing what a stage does not use, which takes seconds.

Both libraries import optional parts as soon as they are installed. A probe that is answered with
"not installed" beforehand leaves such a part out, as the libraries provide for machines without
it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROBES = {
    "peft.import_utils": ("is_bnb_available", "is_bnb_4bit_available"),
    "transformers.utils.import_utils": ("is_bitsandbytes_available",),
}
"""Functions of libraries that tell whether bitsandbytes is installed, and remember it."""


@contextmanager
def hide_module(name: str) -> Iterator[None]:
    """Let libraries find no such module inside the block."""
    modules: dict[str, Any] = sys.modules
    original = modules.get(name)
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]
        if original is not None:
            modules[name] = original


def leave_out_scipy() -> None:
    """Let transformers find no scipy, which only its losses of object detection import."""
    from transformers.utils import import_utils

    with hide_module("scipy"):
        import_utils.is_scipy_available.cache_clear()
        import_utils.is_scipy_available()  # remembers its answer


def leave_out_bitsandbytes() -> None:
    """Let libraries find no bitsandbytes in this process, whose models are not quantized."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("bitsandbytes", None)


def restore_bitsandbytes() -> None:
    """Let libraries find bitsandbytes again; they remember whether they found it."""
    if sys.modules.get("bitsandbytes", ...) is not None:
        return
    del sys.modules["bitsandbytes"]
    for name, probes in PROBES.items():
        for probe in probes if name in sys.modules else ():
            getattr(sys.modules[name], probe).cache_clear()


def import_bitsandbytes() -> None:
    """Import bitsandbytes without torch's compiler, which only its kernels for other CPUs need.

    On a GPU it compiles some of its kernels, so there it is imported as it is.
    """
    import torch

    restore_bitsandbytes()
    compile_function = torch.compile
    if not torch.cuda.is_available():
        torch.compile = keep_function  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401
    finally:
        torch.compile = compile_function


def keep_function(function: Any = None, **options: Any) -> Any:
    """Stand for torch.compile: return the function, or the decorator, that changes nothing."""
    return keep_function if function is None else function
