#!/usr/bin/env bash
# Run the pipeline, push its outputs to the DVC remote and its results to the branch BRANCH.
# Usage: train.sh BRANCH, in the root of a clone with its environment in .venv.
set -euo pipefail
branch=$1
export PATH="$PWD/.venv/bin:$PATH"
if [ -z "$(dvc config core.remote 2>/dev/null)" ]; then
  echo "error: no default DVC remote takes the outputs; run dvc remote add -d NAME URL, and commit" >&2
  exit 2
fi
dvc repro --pull --allow-missing
if [ -z "$(git status --porcelain -- dvc.lock reports)" ]; then
  echo "train: nothing changed, so there is nothing to push"
  exit
fi
dvc push
git checkout --quiet -b "$branch"
git add dvc.lock reports
git -c user.name=github-actions[bot] -c user.email=41898282+github-actions[bot]@users.noreply.github.com \
  commit --quiet --message "Run the pipeline on $(hostname)"
if [ -n "${GITHUB_TOKEN:-}" ]; then  # the checkout keeps no credentials on the runner's disk
  git -c credential.helper='!f() { echo username=x-access-token; echo "password=$GITHUB_TOKEN"; }; f' \
    push --quiet origin "$branch"
else
  git push --quiet origin "$branch"
fi
echo "train: pushed the results to $branch"
