#!/usr/bin/env bash
# The tests with the lowest versions that pyproject.toml names, in an environment of their own.  Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
PATH="$environment/bin:$PATH"

grep --only-matching --extended-regexp '"[a-z0-9-]+>=[0-9.]+"' pyproject.toml | tr -d '"' | sed "s/>=/==/" \
    >"$environment/lowest.txt"
pip install --quiet --constraint "$environment/lowest.txt" -e ".[figures,test]"
python -m pytest "$@"
