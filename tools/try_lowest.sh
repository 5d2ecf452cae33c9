#!/usr/bin/env bash
# Installs the lowest version of each direct dependency and runs the quick suite on them.
# Needs Python 3.12 (PYTHON=... for another) and some 6 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet uv
# uv installs the lowest versions of what pyproject.toml names, and the newest of what these need.
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" \
    --resolution lowest-direct --editable .
"$work/venv/bin/prunebench" run benchmarks/quick.yaml --store "$work/store"
