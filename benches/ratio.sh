#!/bin/sh
# Prints the instructions of a bare parse (mail-parser + calcard), of our parse and of a whole
# scan, and their ratio. The cost of one run is the difference between eleven runs and one, so
# that loading the rules does not count. Then the same for a scan with 100 and with 2,000 rules,
# and for one with DNS off and with DNS on when all its answers are in the cache. Last, what the
# memory costs: all threads, recalling, recording and its part in a save, of ordinary mail and of
# the worst there is, one text sent to everybody.
set -eu
program=$1
most=${2:-2.4}
memory=${3:-25}
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
# Ordinary mail: the difference between 220 messages and 20. The mix is as many small as typical ones.
mail() {
    echo $((($(count "mail-$1" "$2" 220) - $(count "mail-$1" "$2" 20)) / 200))
}
# An entry that is put into its place later, together with very many.
on=$(count merge-on small 1)
off=$(count merge-off small 1)
entry=$(((on - off) / $("$program" --count merge-off small 1)))
echo "an entry put into its place: $entry instructions"
share() {
    awk "BEGIN { printf \"%.1f\", ($2 - $1) * 100 / $1 }"
}
sum_off=0 sum_on=0
for sample in small typical; do
    off=$(mail off $sample)
    entries=$("$program" --count mail-entries $sample 220)
    on=$(($(mail on $sample) + entries * entry))
    sum_off=$((sum_off + off)) sum_on=$((sum_on + on))
    echo "$sample ordinary mail: scan without memory $off, with it and its $entries entries $on instructions; $(share "$off" "$on") % more"
    off=$(cost store-off $sample)
    on=$(cost store-on $sample)
    echo "$sample, one campaign: scan without memory $off, with it $on instructions; $(share "$off" "$on") % more"
done
mixed=$(share "$sum_off" "$sum_on")
echo "mixed ordinary mail: the memory costs $mixed % of a scan"
awk "BEGIN { exit !($mixed <= $memory) }" || { echo "the memory costs more than $memory % of a scan"; exit 1; }
