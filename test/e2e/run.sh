#!/usr/bin/env bash
# Runs one end-to-end test module: run.sh NAME (without .py), from the runfiles.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
exec /usr/bin/python3 "$1.py"
