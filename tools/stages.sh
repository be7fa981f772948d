# Sourced after common.sh: runs stages one after the other, stops at the first that fails, ends with a table.
# stage NAME COMMAND...

stages_table=$(mktemp)
stages_began=$(date +%s)
trap 'stages_end' EXIT
trap 'exit 130' INT TERM

stage() {
    stage_name=$1
    shift
    say ""
    say "== $stage_name"
    stage_began=$(date +%s)
    if "$@"; then stage_status=ok; else stage_status="FAILED ($?)"; fi
    stage_seconds=$(($(date +%s) - stage_began))
    printf '%6d s  %-10s  %s\n' "$stage_seconds" "$stage_status" "$stage_name" >>"$stages_table"
    say "== $stage_name: $stage_status, $stage_seconds s"
    [ "$stage_status" = ok ] || exit 1
}

stages_end() {
    stages_status=$?
    say ""
    cat "$stages_table" >&2
    printf '%6d s  in all\n' $(($(date +%s) - stages_began)) >&2
    rm -f "$stages_table"
    exit "$stages_status"
}
