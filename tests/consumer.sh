#!/bin/sh
#
# consumer.sh: installs into a staging folder, builds tests/consumer against that alone, with
# pkg-config and with CMake, shared and static, and runs it on a real model.  Runs in a build folder.

set -eu
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL
source=$(cd "${srcdir:-.}" && pwd)
CC=${CC:-cc}
model=$source/../shared/models/stories260K-f32.gguf
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

make -s install DESTDIR="$stage/root" >"$stage/install.out" 2>&1 || {
	cat "$stage/install.out"
	exit 1
}
prefix=$(sed -n 's/^prefix = //p' Makefile)
libdir=$(sed -n 's/^libdir = //p' Makefile | sed "s|\$(prefix)|$prefix|")

export PKG_CONFIG_SYSROOT_DIR="$stage/root" PKG_CONFIG_LIBDIR="$stage/root$libdir/pkgconfig"
# A system that keeps libraries in $prefix/lib by itself would have these flags left out.
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
$CC -std=c11 -Wall -Wextra -O2 $(pkg-config --cflags quern) -o "$stage/shared" \
	"$source/tests/consumer/consumer.c" $(pkg-config --libs quern) -lm
$CC -std=c11 -Wall -Wextra -O2 $(pkg-config --cflags quern) -o "$stage/static" \
	"$source/tests/consumer/consumer.c" "$stage/root$libdir/libquern.a" -lm -pthread
built='shared static'

# The program of README.
sed -n '/^    #include <quern.h>/,/^    }/s/^    //p' "$source/README" >"$stage/story.c"
$CC -std=c11 -Wall -Wextra -O2 $(pkg-config --cflags quern) -o "$stage/story" "$stage/story.c" \
	$(pkg-config --libs quern)

if command -v cmake >/dev/null; then
	cmake -S "$source/tests/consumer" -B "$stage/cmake" -DCMAKE_C_COMPILER="$CC" \
		-DCMAKE_PREFIX_PATH="$stage/root$prefix" >"$stage/cmake.out" 2>&1 &&
		cmake --build "$stage/cmake" >>"$stage/cmake.out" 2>&1 || {
		cat "$stage/cmake.out"
		exit 1
	}
	built="$built cmake/consumer cmake/consumer_static"
fi

# The installed generator finds its files by itself.
if [ -x "$stage/root$prefix/bin/quern" ]; then
	env -u QUERN_HOME "$stage/root$prefix/bin/quern" gen \
		"$stage/root$prefix/share/quern/results/default.yaml" -o "$stage/kernels"
fi

if [ ! -e "$model" ]; then
	echo 'consumer built but not run: there is no ../shared/models/stories260K-f32.gguf'
	exit 77
fi
export LD_LIBRARY_PATH="$stage/root$libdir"
for program in $built; do
	${RUN-} "$stage/$program" "$model" >"$stage/run.out" 2>&1 || {
		tail -n 20 "$stage/run.out"
		exit 1
	}
done

${RUN-} "$stage/story" "$model" 'One day, she saw a big, red ball. She' >"$stage/run.out"
grep -q '^ was very happy' "$stage/run.out" || {
	echo "README's program says: $(cat "$stage/run.out")"
	exit 1
}

# Everything goes again, and a staging folder may have any name.
make -s install DESTDIR="$stage/it's \"o d\"" >"$stage/install.out" 2>&1 || {
	tail -n 5 "$stage/install.out"
	exit 1
}
for root in "$stage/root" "$stage/it's \"o d\""; do
	make -s uninstall DESTDIR="$root"
	left=$(find "$root" ! -type d)
	[ -z "$left" ] || {
		echo "left by uninstall: $left"
		exit 1
	}
done
