#!/usr/bin/env bash
# The style checks as a test, on the tree that this file lies in.
exec python3 "$(dirname "$(readlink -f "$0")")/lint.py" --no-tidy
