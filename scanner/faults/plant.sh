#!/bin/sh
# Plants a fault in a scratch copy of what is committed and expects `just faults` to see it: a harness that cannot fail
# proves nothing. Without a name, says which faults there are.
set -eu
cd "$(dirname "$0")/../.."

# What each breaks, and the cases that must tell.
cases() {
    case $1 in
        no-epoch) echo 'F13 --repeats 6' ;;          # whoever was superseded writes on: cursors move back
        cursor-first) echo 'F06 F07 F09 --repeats 6' ;; # the cursor is committed before its events: events are lost
        done-before-kept) echo 'F06 F09 --repeats 6' ;; # done is said before it is done: a dead worker's scan is never finished
        no-look) echo 'F03 F04 --repeats 3' ;;       # nobody looks for what lost its bell or its worker: it stays where it is
        random-ids) echo 'F08 F58 --repeats 4' ;;    # the same happening has two ids: overlap is kept twice
        *) return 1 ;;
    esac
}

if [ $# -eq 0 ]; then
    for patch in scanner/faults/plants/*.patch; do name=$(basename "$patch" .patch); echo "$name: $(cases "$name")"; done
    exit
fi
told=$(cases "$1") || { echo "there is no plant $1" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'git worktree remove --force "$scratch/tree"; rm -rf "$scratch"' EXIT
git worktree add --quiet --detach "$scratch/tree"
git -C "$scratch/tree" apply "$PWD/scanner/faults/plants/$1.patch"
# Its own target folder, for the program is another; what it depends on is compiled once for all plants.
target=${CARGO_TARGET_DIR:-$PWD/target}/planted
# shellcheck disable=SC2086
if (cd "$scratch/tree" && CARGO_TARGET_DIR=$target cargo bench --locked --profile dev --package twinflow --features failpoints --bench faults -- $told); then
    echo "$1 was not noticed" >&2
    exit 1
fi
echo "$1 was noticed"
