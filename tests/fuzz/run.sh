#!/bin/sh
# Runs the fuzz harnesses in a folder, each after its corpus, two at a time; new inputs are not kept.
#   tests/fuzz/run.sh FOLDER [fast|long]
# FUZZ_RUNS     executions in all, divided as tests/fuzz/plan says; default: the sum of its column
# FUZZ_SECONDS  instead: so long each
# FUZZ_SEED     of the mutations; with FUZZ_RUNS a run is repeatable
# FUZZ_ONLY     names of harnesses, without fuzz_
# FUZZ_JOBS     how many at a time
# A harness that is not in the plan, or has no corpus, fails. Gate lines: tests/support/gate.h.
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
bin=$folder/fuzz_$name corpus=tests/fuzz/corpus/$name work=$logs/$name.new
mkdir -p "$work"
if [ -n "$seconds" ]; then
    set -- "$@" -max_total_time="$seconds"
else
    set -- "$@" -runs="$(awk -v r="$runs" -v t="$thousands" -v s="$sum" 'BEGIN {printf "%d", r * t * 1000 / s + 1}')"
fi
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
grep -v '^#' "$plan" | while read -r name rest; do
    case " ${FUZZ_ONLY:-$name} " in *" $name "*) echo "$name $rest" ;; esac
done | xargs -P "$jobs" -L 1 sh "$logs/one.sh"

opens_planned=$(awk -v c=$column '$1 == "open_dir" {printf "%d", $c * 1000}' "$plan")
reached=0
opens=0
harnesses=0
for status in "$logs"/*.status; do
    name=$(basename "$status" .status)
    done_runs=$(grep -oE 'Done [0-9]+ runs' "$logs/$name.log" | tail -1 | tr -dc 0-9)
    harnesses=$((harnesses + 1))
    reached=$((reached + ${done_runs:-0}))
    [ "$name" != open_dir ] || opens=${done_runs:-0}
    if [ "$(cat "$status")" = 0 ]; then
        echo "fuzz_$name: ${done_runs:-0} runs, $(grep -oE 'cov: [0-9]+' "$logs/$name.log" | tail -1)"
    else
        failed=$((failed + 1))
        echo "FAILED fuzz_$name"
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
[ -n "$seconds${FUZZ_ONLY:-}" ] ||
    gate "fuzz: whole-directory opens" "$((opens_planned * runs / sum))" "$opens"
[ "$failed" = 0 ] && [ "$harnesses" -gt 0 ] && [ "$reached" -ge "$required" ]
