#!/bin/sh
# The topics that are missing, and the settings of those that are there: `topics.sh [OPTION…]`, with the options of `sagactl
# topics apply`. May run as often as one likes. The brokers may come later, and so may the right to make topics.
set -eu

until sagactl topics apply "$@"; do sleep 5; done
