#!/bin/sh
# Makes the views of the quickstart and streams its flights, a few thousand a second.
set -eu
readonly unavailable=5

# Only what passes by itself is tried again: no coordinator leads yet, for example.
until millrace apply /quickstart/flights.sql; do
  code=$?
  [ $code = $unavailable ] || exit $code
  sleep 2
done
exec millrace produce flights --input /quickstart/flights-2001-01.csv.zst --rate 2000
