#!/bin/sh
# Starts NetScope's own interpreter. It runs as root first: nothing from the working directory or from PYTHON* is imported.
export PYTHONSAFEPATH=1
exec /usr/local/lib/netscope/current/bin/python -I /usr/local/lib/netscope/current/bin/collector "$@"
