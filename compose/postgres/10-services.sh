#!/bin/sh
# A role and a database for each service; each may enter its own database only. Runs once, when the volume is new.
set -eu

psql="psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username $POSTGRES_USER --dbname $POSTGRES_DB"

for service in order payment inventory shipping notification analytics; do
    $psql --set service="$service" --set password="$SERVICE_PASSWORD" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
