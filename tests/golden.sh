#!/bin/sh
#
# golden.sh QUERN: the C of a few kernels, byte for byte, and the same bytes the second time.
# GOLDEN_UPDATE=1 writes the files anew after an intended change; read the difference before a commit.

set -u
quern=${1:-./quern}
golden=$(dirname "$0")/golden
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

for n in 1 2; do
	"$quern" gen "$golden/golden.yaml" -o "$dir/$n" || exit 1
done
diff -r "$dir/1" "$dir/2" >/dev/null || {
	echo 'golden.sh: two runs of the generator differ'
	exit 1
}
rm -f "$dir"/1/isa_*.c "$dir"/1/floats_*.c "$dir"/1/*_scalar_*.c    # the walk over all kernels has them
if [ "${GOLDEN_UPDATE-}" ]; then
	rm -f "$golden"/*.c "$golden"/*.mk
	cp "$dir"/1/* "$golden"
fi
cp "$golden/golden.yaml" "$dir/1"
diff -ru "$golden" "$dir/1" || {
	echo 'golden.sh: generated C changed; if that was meant: GOLDEN_UPDATE=1 tests/golden.sh'
	exit 1
}
