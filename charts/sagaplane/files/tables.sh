#!/bin/sh
# The tables of each service, by its own role. May run as often as one likes: it adds what is missing, and takes nothing away.
set -eu

for service in $SERVICES; do
    SAGAPLANE_DATABASE_URL=$(printenv "url_$service")
    export SAGAPLANE_DATABASE_URL
    until sagactl database apply "$service"; do sleep 2; done
done
