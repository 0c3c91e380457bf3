#!/bin/sh
# Prints the instructions of a bare parse (mail-parser + calcard), of our parse and of a whole
# scan, and their ratio. The cost of one run is the difference between eleven runs and one, so
# that loading the rules does not count.
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
