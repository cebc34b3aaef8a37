#!/usr/bin/env bash
# Run one experiment from the root of a clone and share it with everybody who has the two remotes:
#   cluster/experiment.sh NAME [-S key=value ...]
# Inputs come from the DVC remote. The results go to it, and the commit goes to the git remote GIT_REMOTE.
# Several jobs may run side by side in one clone. A job that was killed continues from its checkpoint; one whose results
# could not be sent sends them when it is run again with the same name.
set -euo pipefail
NAME=${1:?give the experiment a name}
shift
if [ -d .venv ]; then PATH=$PWD/.venv/bin:$PATH; fi
if dvc exp list --name-only | grep --quiet --line-regexp --fixed-strings -- "$NAME"; then
  echo "experiment $NAME is there already: only its results are sent" >&2
else
  dvc exp run --temp --pull --allow-missing --name "$NAME" "$@"
fi
dvc exp push "${GIT_REMOTE:-origin}" "$NAME"
