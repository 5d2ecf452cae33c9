#!/usr/bin/env bash
# Builds wheel and sdist, checks them, and runs the quick suite from the wheel alone: the cards are in
# it, and no file of the checkout is needed. Packages come from the given environment.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(realpath "${1:-.venv/bin}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/python" -m build --outdir "$work/dist" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$bin/twine" check --strict "$work"/dist/*
"$bin/python" -m venv "$work/venv"
# What prunebench depends on is there already; only prunebench itself is installed.
"$bin/python" -c 'import site; print(site.getsitepackages()[0])' \
    >"$work/venv/lib/$("$work/venv/bin/python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}")')/site-packages/dependencies.pth"
"$work/venv/bin/python" -m pip install --quiet --no-deps --ignore-installed "$work"/dist/*.whl
cp benchmarks/quick.yaml "$work"
cd "$work"
venv/bin/python -c 'import prunebench; assert prunebench.__file__.startswith("'"$work"'"), prunebench.__file__'
venv/bin/prunebench show pruner hrank | grep -q '2002.10179'
venv/bin/prunebench run quick.yaml --store store --tracking-uri '' --where 'level < 0.5 and pruner == "l1-unstructured"'
