# What the command lines of the tables may use, beside R, the resource, and G, its group.

# No times and paths in what diff prints.
export KUBECTL_EXTERNAL_DIFF='diff -u -N --label=live --label=merged'

# record NAME [SOURCE]: the manifest of a record.
record() {
    printf 'apiVersion: %s/v1alpha1\nkind: DataRecord\nmetadata:\n  name: %s\nspec:\n  source: %s\n' \
        "$G" "$1" "${2:-test}"
}

# records NAME...: a file of manifests.
records() {
    for name in "$@"; do
        echo ---
        record "$name"
    done
}

# follow LINES COMMAND MORE ARGS...: runs kubectl ARGS until it has printed LINES, then COMMAND, and
# goes on until it has printed MORE lines.
follow() {
    local lines=$1 command=$2 more=$3 line
    shift 3
    exec 3< <(exec kubectl "$@" 2>&1)
    local watcher=$!
    while ((lines-- > 0)) && read -r -t 30 -u 3 line; do echo "$line"; done
    eval "$command"
    while ((more-- > 0)) && read -r -t 30 -u 3 line; do echo "$line"; done
    kill "$watcher"
    exec 3<&-
}
