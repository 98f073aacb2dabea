#!/bin/sh
# A role and a database for each service; each may enter its own database only. May run as often as one likes.
set -eu

until pg_isready --quiet; do sleep 1; done
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }
for service in $SERVICES; do
    run --set service="$service" --set kept="password_$service" <<'SQL'
\getenv password :kept
SELECT format('CREATE ROLE %I LOGIN', :'service') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'service') \gexec
ALTER ROLE :"service" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'service', :'service') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service') \gexec
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
    echo "$service has its role and database"
done
run --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
