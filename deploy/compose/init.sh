#!/bin/sh
# What the services of docker-compose.yml and minimal.yml need before they start: init.sh secrets | bucket.
# Each step may run again at any time, and leaves alone what is there.
set -eu

readonly secrets=/run/millrace
readonly endpoint=http://objectstore:7070 bucket=millrace region=us-east-1
readonly patience=120
# Stores want the checksum of a body, also of none.
readonly sha256_of_nothing=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

die() {
  printf 'init: error: %s\n' "$*" >&2
  exit 1
}

random() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# keep FILE TEXT: a file that is there stays. It appears whole or not at all.
keep() {
  [ ! -s "$1" ] || return 0
  printf '%s' "$2" >"$1.new"
  chmod 0444 "$1.new"  # each service reads it as a user of its own; the volume is what guards it
  mv "$1.new" "$1"
}

make_secrets() {
  keep $secrets/objects/access_key "$(random)"
  keep $secrets/objects/secret_key "$(random)"
  keep $secrets/postgres/password "$(random)"
  [ ! -d $secrets/grafana ] || keep $secrets/grafana/password "$(random)"
  keep $secrets/postgres/connection \
    "postgresql://millrace:$(cat $secrets/postgres/password)@postgres:5432/millrace"
}

# Prints the status of the answer, 000 without one. The keys are no arguments, which others could see.
put_bucket() {
  printf 'user = "%s:%s"\n' "$(cat $secrets/objects/access_key)" "$(cat $secrets/objects/secret_key)" |
    curl -sS -K - --aws-sigv4 "aws:amz:$region:s3" --max-time 10 -o /dev/null -w '%{http_code}' \
      -H "x-amz-content-sha256: $sha256_of_nothing" -X PUT "$endpoint/$bucket" || true
}

make_bucket() {
  tried=0
  while :; do
    status=$(put_bucket)
    case $status in
      200) return 0 ;;
      409) return 0 ;;  # it is there, and ours: the store has no other user
      000 | 5??) ;;
      *) die "the object store does not make the bucket; status=$status bucket=$bucket" ;;
    esac
    tried=$((tried + 1))
    [ $tried -lt $patience ] ||
      die "the object store does not answer: see its log; status=$status endpoint=$endpoint"
    sleep 1
  done
}

case ${1:-} in
  secrets) make_secrets ;;
  bucket) make_bucket ;;
  *) die "usage: init.sh secrets | bucket" ;;
esac
