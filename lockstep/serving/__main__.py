"""Serve the tuned model and the base by an OpenAI-compatible HTTP API, until Ctrl-C or SIGTERM.

The settings are the section `serving` of params.yaml; docs/serving.md describes the API.
"""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import click
import httpx2
import uvicorn
import uvloop

from lockstep.errors import UserError, exit_on_mistake
from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.compute import ComputeParams, RuntimeParams
from lockstep.params import Section
from lockstep.predicting.predict_params import PredictParams
from lockstep.serving import api_keys
from lockstep.serving.abtest_plan import read_plan
from lockstep.serving.abtest_routing import AbTestRouter, keep_model
from lockstep.serving.answering import ChooseVariant
from lockstep.serving.api.http_protocol import build_config
from lockstep.serving.api.request_limits import Slots
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.engines import model_forms
from lockstep.serving.engines.engine_process import EngineProcess
from lockstep.serving.engines.engine_protocol import SocketEngine
from lockstep.serving.engines.model_forms import ModelForm
from lockstep.serving.engines.vllm_engine import VllmEngine
from lockstep.serving.gateway import create_app, is_loopback
from lockstep.serving.logs.log_folder import open_log
from lockstep.serving.served_model import ServedModel
from lockstep.serving.serving_params import ServingParams, read_sections

DATA, BUILD = Path("data"), Path("build/serving")


class Params(Section):
    """Sections of params.yaml that the server reads."""

    compute: ComputeParams
    predict: PredictParams
    runtime: RuntimeParams
    serving: ServingParams = ServingParams()


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="folder of the models")
@click.option("--build", type=click.Path(path_type=Path), default=BUILD, help="folder of exports")
@click.option("--host", help="default: serving.host")
@click.option("--port", type=click.IntRange(0, 65535), help="default: serving.port")
@click.option("--keys-file", help="default: serving.keys_file")
def main(
    data: Path, build: Path, host: str | None, port: int | None, keys_file: str | None
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lockstep.serving").setLevel(logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_by_signal)
    values = read_sections(Params)
    settings = values.serving
    host = host or settings.host
    keys = api_keys.read_keys(keys_file or settings.keys_file)
    check_exposure(host, keys)
    open_log(settings)
    choose_variant = build_route(settings)
    with open_socket(host, settings.port if port is None else port) as listener:
        forms = [
            model_forms.choose_form(name, data, build, settings.engine, settings.context)
            for name in settings.models
        ]
        forms += [
            model_forms.choose_folder_form(
                name, Path(folder), build, settings.engine, settings.context
            )
            for name, folder in settings.folders.items()
        ]
        check_variants(settings, forms)
        uvloop.run(serve(values, forms, keys, listener, choose_variant))


def check_exposure(host: str, keys: ApiKeys) -> None:
    """Raise UserError if a server without keys would listen beyond this machine."""
    if not keys.hashes and not is_loopback(host):
        raise UserError(
            f"params.yaml: serving.host: {host} is reached from other machines, which needs API "
            "keys; make one with `python -m lockstep.serving.api_keys NAME` and set "
            "serving.keys_file, or set serving.host to 127.0.0.1"
        )


def build_route(settings: ServingParams) -> ChooseVariant:
    """Return the routes of the A/B test that runs, if any; raise UserError for a faulty plan."""
    test = settings.abtest
    if test is None:
        return keep_model
    return AbTestRouter(read_plan(Path(test.plan)), test.a, test.b).choose


def check_variants(settings: ServingParams, forms: Sequence[ModelForm]) -> None:
    """Raise UserError if one variant of the A/B test generates and the other has a head."""
    test = settings.abtest
    heads = {form.head is None for form in forms if test and form.name in (test.a, test.b)}
    if test and len(heads) > 1:
        raise UserError(
            f"params.yaml: serving.abtest: one of {test.a} and {test.b} has a head and the other "
            "generates; name two models of one kind"
        )


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; raise UserError if it cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        is_name = isinstance(error, socket.gaierror)
        reason = error.strerror if is_name or not error.errno else os.strerror(error.errno)
        wrong_host = is_name or error.errno == errno.EADDRNOTAVAIL
        remedy = "correct serving.host" if wrong_host else "choose another serving.port or PORT"
        raise UserError(
            f"params.yaml: serving: cannot listen on {host}:{port} ({reason}); {remedy}"
        ) from None


async def serve(
    values: Params,
    forms: list[ModelForm],
    keys: ApiKeys,
    listener: socket.socket,
    choose_variant: ChooseVariant,
) -> None:
    """Start the engines, answer requests until a signal arrives, and end the engines."""
    settings = values.serving
    tokenizers = {form.name: loading.load_tokenizer(form.folder) for form in forms}
    engines = {form.name: _build_engine(form, tokenizers[form.name], values) for form in forms}
    try:
        await asyncio.gather(*(engine.start() for engine in engines.values()))
        models = {
            form.name: _build_model(form, tokenizers[form.name], engines[form.name], values)
            for form in forms
        }
        gc.freeze()  # searching the modules of transformers again would delay answers by 0.1 s
        await _run_gateway(settings, models, keys, listener, choose_variant)
    finally:
        await asyncio.gather(*(engine.stop() for engine in engines.values()))


async def _run_gateway(
    settings: ServingParams,
    models: Mapping[str, ServedModel],
    keys: ApiKeys,
    listener: socket.socket,
    choose_variant: ChooseVariant,
) -> None:
    app = create_app(settings, models, keys, choose_variant=choose_variant)
    config = build_config(app, settings)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    names = ", ".join(models)
    click.echo(f"serve: http://{address}:{port} answers ({names}); Ctrl-C ends it", err=True)
    await uvicorn.Server(config).serve(sockets=[listener])


def _build_engine(form: ModelForm, tokenizer: ChatTokenizer, values: Params) -> EngineProcess:
    settings = values.serving
    command = model_forms.build_command(
        form, settings.concurrent, values.compute.threads, os.getpid(), values.runtime.device
    )

    def build_engine(transport: httpx2.AsyncBaseTransport) -> SocketEngine:
        if form.engine == "vllm":
            return VllmEngine(transport, tokenizer.end_ids, settings.request_seconds)
        return SocketEngine(transport, settings.cache_prompt, settings.request_seconds)

    return EngineProcess(form.name, command, build_engine)


def _build_model(
    form: ModelForm, tokenizer: ChatTokenizer, engine: EngineProcess, values: Params
) -> ServedModel:
    settings = values.serving
    return ServedModel(
        name=form.name,
        tokenizer=tokenizer,
        engine=engine.engine,
        slots=Slots(settings.concurrent, settings.queued, settings.queue_seconds),
        context=form.context,
        max_length=values.predict.max_length,
        default_tokens=min(values.predict.max_new_tokens, settings.max_new_tokens),
        head=form.head,
        is_ready=lambda: engine.is_ready,
        restarts=lambda: engine.restarts,
    )


def _exit_by_signal(number: int, frame: FrameType | None) -> None:
    """End the process with the exit code of a signal, after all `finally` blocks."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
