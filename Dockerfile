# The environment of the pipeline, without the repository: clone it, or mount it, at run time.
#   docker build --tag lockstep:cuda .
#   docker run --gpus all --volume "$PWD:/work" lockstep:cuda dvc repro
# torch's wheels hold the CUDA libraries; the driver comes from the host. Not run here.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04

RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libgomp1 make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'

COPY pyproject.toml constraints.txt /opt/lockstep/
RUN python3 -m venv /opt/lockstep/venv \
    && cd /opt/lockstep \
    && venv/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[dev,s3]'

ENV PATH=/opt/lockstep/venv/bin:$PATH
WORKDIR /work
CMD ["bash"]
