#!/bin/sh
# Installs a stock Apache Flink into a cache outside the repository and prints its directory.
#
#   install-flink.sh [DIR]      default $STREAMING_ETL_CACHE/flink-1.19.3,
#                               where STREAMING_ETL_CACHE is ~/.cache/streaming-etl unless set
#
# Flink's Java libraries are taken from its Python distribution (apache-flink-libraries, 230 MB), which any
# Python package index serves. Run again it does nothing: DIR appears only when it is complete.
set -eu

version=1.19.3
cache=${STREAMING_ETL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/streaming-etl}
dir=${1:-$cache/flink-$version}

complete() { [ -f "$dir/lib/flink-dist-$version.jar" ] && [ -f "$dir/bin/bash-java-utils.jar" ]; }
if complete; then
	echo "$dir"
	exit 0
fi

command -v python3 >/dev/null || { echo "install-flink: python3 is needed to fetch Flink" >&2; exit 1; }
mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$(dirname "$dir")/.flink-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The archive's own setup.py asks for a Flink build tree and fails. pip runs it after the download, to read its
# metadata, and then deletes what it downloaded unless it goes to a directory of ours: so pip's status is not
# looked at, the file is. setup.py needs "wheel" only to get that far.
python3 -m venv "$work/venv" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$work/venv/bin/pip" install -q setuptools wheel >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$work/venv/bin/pip" download -q --no-deps --no-binary :all: --no-build-isolation \
	-d "$work/sdist" "apache-flink-libraries==$version" >>"$work/log" 2>&1 || true
sdist=$(find "$work/sdist" -name '*.tar.gz' 2>/dev/null | head -n 1)
if [ -z "$sdist" ]; then
	echo "install-flink: apache-flink-libraries $version was not downloaded:" >&2
	tail -n 20 "$work/log" >&2
	exit 1
fi

mkdir "$work/flink"
tar -xzf "$sdist" -C "$work" --wildcards '*/deps/lib/*' '*/deps/bin/*' '*/deps/plugins/*'
mv "$work"/apache*/deps/* "$work/flink/"
rm -rf "$dir"
mv "$work/flink" "$dir"
complete || { echo "install-flink: $sdist does not hold the expected files" >&2; exit 1; }
echo "$dir"
