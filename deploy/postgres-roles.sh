#!/bin/bash
# Run once by the image of PostgreSQL, when its data folder is empty: a role that owns the database and migrates it, and
# one that the roles of Touchstone run as, which owns nothing. `touchstone migrate --grant-to touchstone` gives it its rights.
set -euo pipefail

password() { cat "/run/secrets/password_$1"; }

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set owner_password="$(password postgres_owner)" --set app_password="$(password postgres_app)" <<'SQL'
CREATE ROLE touchstone_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE touchstone LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
CREATE DATABASE touchstone OWNER touchstone_owner;
REVOKE ALL ON DATABASE touchstone FROM PUBLIC;
GRANT CONNECT ON DATABASE touchstone TO touchstone;
\connect touchstone
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO touchstone_owner;
SQL
