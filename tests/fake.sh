# fake.sh: for scripts that source it: a folder of their own with a probe that pretends.
#
# Needs srcdir, QUERN (the program) and cc.  Sets QUERN and QUERN_HOME as whole paths, dir, which is removed
# at the end, and failures; dir/fake is fake_probe.c, compiler and probe in one.

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
export QUERN_HOME
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	echo "${0##*/}: $*"
	failures=1
}

${BUILD_CC:-cc} -std=c11 -D_GNU_SOURCE -o "$dir/fake" "$QUERN_HOME/tests/fake_probe.c" || exit 1

# fake_device [LINE]...: a device that runs it, with more lines of its file.
fake_device() {
	cat <<-END
		quern: device
		schema: 1
		name: fake
		compiler: ["$dir/fake", cc]
		run: ["$dir/fake", run, "{program}"]
	END
	[ $# = 0 ] || printf '%s\n' "$@"
}
