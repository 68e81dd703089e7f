#!/bin/sh
# Makes the views of the quickstart and streams its flights, a few thousand a second.
set -eu
until millrace apply /quickstart/flights.sql; do sleep 2; done
exec millrace produce flights --input /quickstart/flights-2001-01.csv.zst --rate 2000
