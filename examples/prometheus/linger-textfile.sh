#!/bin/bash
# Purpose: the counters of all services under liblinger, for Prometheus: writes them into one file of
# node_exporter's textfile collector, each with a label that names the service.
#
# Run, from linger-textfile.timer beside this file or as a line of /etc/cron.d:
#
#   * * * * * root /usr/local/bin/linger-textfile.sh /var/lib/prometheus/node-exporter
#
# The counters are found where systemd/liblinger.conf puts them, in /run/linger/SERVICE/counters.
# (By hand, for one service: linger stats --prometheus FILE >x.tmp && mv x.tmp x.prom)
#
# Expected output, among others in linger.prom:
#
#   # HELP linger_closed_total Connections closed by close() and its relatives.
#   # TYPE linger_closed_total counter
#   linger_closed_total{service="nginx",when="active",verdict="fin-rst"} 20
#   linger_failed_total{service="nginx"} 0
set -eu -o pipefail
PATH=$PATH:/usr/local/bin
directory=$1
run=${2:-/run/linger}

# Beside its target, so that mv is a rename and node_exporter never sees half a file; it reads names
# in .prom alone.
file=$(mktemp "$directory/.linger.XXXXXX")
trap 'rm -f "$file"' EXIT

for counters in "$run"/*/counters; do
    [ -e "$counters" ] || continue # nobody counts yet
    echo "service $(basename "${counters%/counters}")"
    linger stats --prometheus "$counters"
done | awk '
    # All samples of a metric have to stand together, behind its HELP and TYPE.
    $1 == "service" { label = "service=\"" $2 "\""; next }
    /^#/ { if (!seen[$0]++) head[$3] = head[$3] $0 "\n"; next }
    {
        metric = $1
        sub(/[{].*/, "", metric)
        if (!(metric in samples)) order[++count] = metric
        if (!sub(/[{]/, "{" label ",")) sub(/ /, "{" label "} ")
        samples[metric] = samples[metric] $0 "\n"
    }
    END { for (i = 1; i <= count; i++) printf "%s%s", head[order[i]], samples[order[i]] }' >"$file"

chmod 644 "$file"
mv "$file" "$directory/linger.prom"
