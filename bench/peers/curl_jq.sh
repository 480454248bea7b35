#!/usr/bin/env bash
# The loop that a shell user writes: curl for each page, jq for its items, the Link header for the next.
set -euo pipefail

headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
url=$1
while [ -n "$url" ]; do
    curl --silent --show-error --fail --dump-header "$headers" "$url" | jq --compact-output '.[]'
    url=$(sed -n 's/^link:.*<\([^>]*\)>; rel="next".*/\1/Ip' "$headers")
done
