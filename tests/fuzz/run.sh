#!/bin/sh
# Runs the fuzz harnesses in a folder, each after its corpus, two at a time; new inputs are not kept.
#   tests/fuzz/run.sh FOLDER [fast|long]
# FUZZ_RUNS     executions in all, divided as tests/fuzz/plan says; default: the sum of its column
# FUZZ_SECONDS  instead: so long each
# FUZZ_SEED     of the mutations; with FUZZ_RUNS a run is repeatable
# FUZZ_ONLY     names of harnesses, without fuzz_
# FUZZ_JOBS     how many at a time
# A harness that is not in the plan, has no corpus, or stops before its share, fails. Executions are
# those that libFuzzer counted. Gate lines: tests/support/gate.h.
set -u
cd "$(dirname "$0")/../.."
folder=$1
tier=${2:-fast}
plan=tests/fuzz/plan
seed=$((${FUZZ_SEED:-1}))
seconds=${FUZZ_SECONDS:-}
jobs=${FUZZ_JOBS:-$(nproc)}
logs=$(dirname "$folder")/logs
mkdir -p "$logs"
rm -rf "${logs:?}"/*
column=2
[ "$tier" = fast ] || column=3
sum=$(awk -v c=$column '!/^#/ && NF {s += $c} END {printf "%d", s * 1000}' "$plan")
runs=${FUZZ_RUNS:-$sum}

# One harness: NAME THOUSANDS... OPTIONS...
cat >"$logs/one.sh" <<'ONE'
name=$1 thousands=$2
[ "$tier" = fast ] || thousands=$3
shift 3
planned=1
bin=$folder/fuzz_$name corpus=tests/fuzz/corpus/$name work=$logs/$name.new
mkdir -p "$work"
if [ -n "$seconds" ]; then
    set -- "$@" -max_total_time="$seconds"
else
    planned=$(awk -v r="$runs" -v t="$thousands" -v s="$sum" 'BEGIN {printf "%d", r * t * 1000 / s + 1}')
    set -- "$@" -runs="$planned"
fi
echo "$planned" >"$logs/$name.planned"
ASAN_OPTIONS=quarantine_size_mb=8:malloc_context_size=3 "$bin" -seed="$seed" -reload=0 -rss_limit_mb=384 -malloc_limit_mb=64 \
    -timeout=20 -artifact_prefix="$logs/$name-" "$@" "$work" "$corpus" >"$logs/$name.log" 2>&1
echo $? >"$logs/$name.status"
rm -rf "$work"
ONE

failed=0
for bin in "$folder"/fuzz_*; do
    name=$(basename "$bin")
    name=${name#fuzz_}
    grep -q "^$name " "$plan" || { echo "FAILED fuzz_$name: not in $plan"; failed=$((failed + 1)); }
    [ -n "$(ls "tests/fuzz/corpus/$name" 2>/dev/null)" ] || { echo "FAILED fuzz_$name: no corpus"; failed=$((failed + 1)); }
done
export folder tier logs seed seconds runs sum
planned() {
    grep -v '^#' "$plan" | while read -r name rest; do
        case " ${FUZZ_ONLY:-$name} " in *" $name "*) echo "$name $rest" ;; esac
    done
}
planned | xargs -P "$jobs" -L 1 sh "$logs/one.sh"

reached=0
harnesses=0
for name in $(planned | cut -d' ' -f1); do
    done_runs=$(grep -oE 'Done [0-9]+ runs' "$logs/$name.log" | tail -1 | tr -dc 0-9)
    done_runs=${done_runs:-0}
    harnesses=$((harnesses + 1))
    reached=$((reached + done_runs))
    if [ "$(cat "$logs/$name.status")" = 0 ] && [ "$done_runs" -ge "$(cat "$logs/$name.planned")" ]; then
        echo "fuzz_$name: $done_runs runs, $(grep -oE 'cov: [0-9]+' "$logs/$name.log" | tail -1)"
    else
        failed=$((failed + 1))
        echo "FAILED fuzz_$name: $done_runs of $(cat "$logs/$name.planned") runs"
        tail -n 40 "$logs/$name.log"
        for input in "$logs/$name"-*; do
            [ ! -f "$input" ] || echo "replay: make MODE=fuzz fuzz-programs && build/fuzz/fuzz/fuzz_$name $input"
        done
    fi
done

gate() { # NAME REQUIRED REACHED
    ok=true
    [ "$failed" = 0 ] && [ "$3" -ge "$2" ] || ok=false
    printf '{"gate":"%s","required":%s,"reached":%s,"failed":%s,"seed":"0x%x","ok":%s}\n' "$1" "$2" "$3" "$failed" "$seed" "$ok"
}
required=$runs
[ -z "$seconds${FUZZ_ONLY:-}" ] || required=1
gate "fuzz: executions" "$required" "$reached"
[ "$failed" = 0 ] && [ "$harnesses" -gt 0 ] && [ "$reached" -ge "$required" ]
