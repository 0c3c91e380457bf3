#!/bin/sh
# Prints the instructions of a bare parse (mail-parser + calcard), of our parse and of a whole
# scan, and their ratio. The cost of one run is the difference between eleven runs and one, so
# that loading the rules does not count. Then the same for a scan with 100 and with 2,000 rules,
# and for one with DNS off and with DNS on when all its answers are in the cache.
set -eu
program=$1
most=${2:-2.4}
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --count "$1" "$2" "$3" 2>&1 |
        sed -n 's/.*Collected : *//p'
}
cost() {
    echo $((($(count "$1" "$2" 11) - $(count "$1" "$2" 1)) / 10))
}
for sample in small typical; do
    bare=$(cost bare $sample)
    parse=$(cost parse $sample)
    whole=$(cost whole $sample)
    echo "$sample: bare parse $bare, our parse $parse, whole scan $whole instructions; ratio $(awk "BEGIN { printf \"%.2f\", $whole / $bare }")"
done
awk "BEGIN { exit !($whole / $bare <= $most) }" || { echo "the whole scan costs more than $most times the bare parse"; exit 1; }
few=$(cost rules:100 typical)
many=$(cost rules:2000 typical)
echo "typical: scan with 100 rules $few, with 2,000 rules $many instructions; ratio $(awk "BEGIN { printf \"%.2f\", $many / $few }")"
awk "BEGIN { exit !($many / $few <= 3) }" || { echo "2,000 rules cost more than three times what 100 cost"; exit 1; }
for sample in small typical; do
    off=$(cost dns-off $sample)
    cached=$(cost dns-cached $sample)
    echo "$sample: scan with DNS off $off, with all answers cached $cached instructions; ratio $(awk "BEGIN { printf \"%.2f\", $cached / $off }")"
done
awk "BEGIN { exit !($cached / $off <= 1.15) }" || { echo "cached answers cost more than 15 % of a scan"; exit 1; }
