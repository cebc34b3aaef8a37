#!/usr/bin/env bash
# Run one experiment from the root of a clone and share it with everybody who has the two remotes:
#   cluster/experiment.sh NAME [-S key=value ...]
# Inputs come from the DVC remote. The results go to it, and the commit goes to the git remote GIT_REMOTE.
# Several jobs may run side by side in one clone. A job that was killed continues from its checkpoint.
set -euo pipefail
NAME=${1:?give the experiment a name}
shift
if [ -d .venv ]; then PATH=$PWD/.venv/bin:$PATH; fi
dvc exp run --temp --pull --allow-missing --name "$NAME" "$@"
dvc exp push "${GIT_REMOTE:-origin}" "$NAME"
