#!/usr/bin/env bash
# Checks that system A and system B sync, by their HTTP interfaces alone.
#
#   demo/test_sync.sh [A_URL B_URL]
#
# Needs bash, curl and python3. Rows are named after the run, so it can be run again and again.
# What takes time is polled for, at most PATIENCE seconds (30).

set -uo pipefail

A=${1:-http://localhost:3000} A=${A%/}
B=${2:-http://localhost:3001} B=${B%/}
PATIENCE=${PATIENCE:-30}
RUN=$(date +%s)-$$
CREATES=10

passed=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# --- One request, one field, one check ----------------------------------------------------------

# request METHOD URL [JSON]: sets STATUS and BODY.
request() {
    local method=$1 url=$2
    local body=(${3:+-H 'Content-Type: application/json' -d "$3"})
    local answer
    answer=$(curl -s --max-time 10 -w '\n%{http_code}' -X "$method" "$url" ${body[@]+"${body[@]}"})
    STATUS=${answer##*$'\n'}
    BODY=${answer%$'\n'*}
}

# field PATH: a field of BODY, such as organization.name or errors.domain.0
field() {
    python3 -c '
import json, sys
value = json.loads(sys.argv[1])
for key in sys.argv[2].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value if isinstance(value, str) else json.dumps(value))' "$BODY" "$1" 2>/dev/null
}

# check TEXT COMMAND..: one line, and one more passed or failed.
check() {
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok    $text"
    else
        failed=$((failed + 1))
        echo "FAIL  $text"
        echo "      last answer: ${STATUS:-none} ${BODY:-}"
    fi
}

# eventually COMMAND..: tries until it succeeds, or patience is at its end.
eventually() {
    local deadline=$((SECONDS + PATIENCE))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# --- Conditions ---------------------------------------------------------------------------------

# answers STATUS METHOD URL [JSON]
answers() {
    local expected=$1
    shift
    request "$@"
    [ "$STATUS" = "$expected" ]
}

# says STATUS PATH VALUE METHOD URL [JSON]
says() {
    local expected=$1 path=$2 value=$3
    shift 3
    answers "$expected" "$@" && [ "$(field "$path")" = "$value" ]
}

# same PATH: both systems answer the same, field by field.
same() {
    local on_a
    answers 200 GET "$A$1" && on_a=$BODY && answers 200 GET "$B$1" && [ "$BODY" = "$on_a" ]
}

# newest LIST_URL ID: this row stands first.
newest() {
    says 200 0.id "$2" GET "$1"
}

nothing_pending() {
    says 200 pending_events_count 0 GET "$1/sync_status"
}

organization() {
    echo "{\"organization\": {\"name\": \"$1\", \"domain\": \"$2\"}}"
}

user() {
    echo "{\"user\": {\"organization_id\": $1, \"name\": \"$2\", \"email\": \"$3\"}}"
}

# --- The checks ---------------------------------------------------------------------------------

echo "system A: $A    system B: $B    run: $RUN"

check "A is healthy" eventually says 200 jetstream_connected true GET "$A/health"
check "B is healthy" eventually says 200 jetstream_connected true GET "$B/health"
if [ "$failed" -gt 0 ]; then
    echo "The pair does not run at these addresses: start it with cargo run -p demo"
    exit 1
fi

# From A to B.
check "A creates an organization" \
    answers 201 POST "$A/organizations" "$(organization 'Acme \"Corp\" é' "a-$RUN.example")"
org_a=$(field id)
check "B has it, with the same columns" eventually same "/organizations/$org_a"
check "A lists it first" newest "$A/organizations" "$org_a"

check "A creates a user in it" answers 201 POST "$A/users" "$(user "$org_a" Ann "ann-$RUN@a.example")"
user_a=$(field id)
check "B has the user, with its organization" \
    eventually says 200 organization.domain "a-$RUN.example" GET "$B/users/$user_a"
check "the user is the same on both" eventually same "/users/$user_a"

check "A changes the organization (PATCH)" \
    says 200 name "Acme 2" PATCH "$A/organizations/$org_a" '{"organization": {"name": "Acme 2"}}'
check "B sees the change" eventually says 200 name "Acme 2" GET "$B/organizations/$org_a"

# From B to A.
check "B creates an organization" answers 201 POST "$B/organizations" "$(organization Bolt "b-$RUN.example")"
org_b=$(field id)
check "A has it, with the same columns" eventually same "/organizations/$org_b"
check "B creates a user in A's organization" answers 201 POST "$B/users" "$(user "$org_a" Bob "bob-$RUN@b.example")"
user_b=$(field id)
check "A has the user" eventually says 200 organization.id "$org_a" GET "$A/users/$user_b"
check "B changes the user that A created (PUT)" \
    says 200 role admin PUT "$B/users/$user_a" '{"user": {"role": "admin", "active": false}}'
check "A sees the change" eventually says 200 role admin GET "$A/users/$user_a"
check "the user is the same on both again" eventually same "/users/$user_a"

# Both at once.
create_many() {
    local url=$1 prefix=$2
    for n in $(seq "$CREATES"); do
        answers 201 POST "$url/organizations" "$(organization "$prefix $n" "$prefix-$n-$RUN.example")" && field id
    done
}
create_many "$A" many-a >"$scratch/ids-a" &
create_many "$B" many-b >"$scratch/ids-b" &
wait
ids=$(cat "$scratch/ids-a" "$scratch/ids-b")
distinct=$(echo "$ids" | sort -u | grep -c .)
check "A and B create $CREATES organizations each at once, and no id is drawn twice" [ "$distinct" = $((2 * CREATES)) ]
all_same() {
    local id
    for id in $ids; do
        same "/organizations/$id" || return 1
    done
}
check "all of them are the same on both" eventually all_same

answers 200 PATCH "$A/organizations/$org_b" '{"organization": {"name": "edited on A"}}' &
edit_on_a=$!
answers 200 PATCH "$B/organizations/$org_b" '{"organization": {"name": "edited on B"}}' &
edit_on_b=$!
check "A edits a row" wait "$edit_on_a"
check "B edits the same row at the same time" wait "$edit_on_b"
settled() {
    same "/organizations/$org_b" && [[ $(field name) == "edited on "[AB] ]]
}
check "both agree on one of the two edits" eventually settled

# What is refused.
check "a domain that is taken here is refused (422)" \
    says 422 errors.domain.0 "has already been taken" \
    POST "$A/organizations" "$(organization Again "a-$RUN.example")"
check "a domain that was taken on the other side is refused (422)" \
    says 422 errors.domain.0 "has already been taken" \
    POST "$B/organizations" "$(organization Again "a-$RUN.example")"
check "a change to a taken domain is refused (422)" \
    says 422 errors.domain.0 "has already been taken" \
    PATCH "$A/organizations/$org_b" "{\"organization\": {\"domain\": \"a-$RUN.example\"}}"
check "a blank name is refused (422)" \
    says 422 errors.name.0 "can't be blank" POST "$A/organizations" "$(organization ' ' "blank-$RUN.example")"
check "a user without an organization is refused (422)" \
    says 422 errors.organization.0 "must exist" POST "$A/users" "$(user 999999999 Nobody "nobody-$RUN@x.example")"
check "an organization that has users is not deleted (422)" \
    says 422 errors.base.0 "still has users" DELETE "$A/organizations/$org_a"
check "malformed JSON is refused (400)" answers 400 POST "$A/organizations" '{"organization":'
check "a body without its wrapper is refused (400)" answers 400 POST "$A/organizations" '{"name": "Acme"}'
check "a row that is not there is not found (404)" answers 404 GET "$A/organizations/999999999"

# Deletes, children before their parent.
check "A deletes a user" answers 204 DELETE "$A/users/$user_a"
check "it is gone from B" eventually answers 404 GET "$B/users/$user_a"
check "B deletes a user" answers 204 DELETE "$B/users/$user_b"
check "it is gone from A" eventually answers 404 GET "$A/users/$user_b"
check "B deletes the organization that A created" answers 204 DELETE "$B/organizations/$org_a"
check "it is gone from A" eventually answers 404 GET "$A/organizations/$org_a"

delete_all() {
    local id
    for id in $ids "$org_b"; do
        answers 204 DELETE "$1/organizations/$id" || return 1
    done
}
lists_nothing_of_this_run() {
    answers 200 GET "$1/organizations" && [[ $BODY != *"-$RUN.example"* ]]
}
check "A deletes every organization that is left of this run" delete_all "$A"
check "they are gone from B" eventually lists_nothing_of_this_run "$B"

check "nothing waits on A" eventually nothing_pending "$A"
check "nothing waits on B" eventually nothing_pending "$B"

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
