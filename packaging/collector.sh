#!/bin/sh
# Starts NetScope's own interpreter, isolated: it runs as root first, so nothing from the working directory or from PYTHON*
# is imported. No variable is set, because a command that is watched would inherit it.
exec /usr/local/lib/netscope/current/bin/python -I /usr/local/lib/netscope/current/bin/collector "$@"
