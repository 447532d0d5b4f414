#!/bin/sh
# Builds the WASM module: SQLite, fafcas and wasm/module.c in one file.
#
#   build.sh TARGET TOOLS FEATURES LIMIT TO
#
# TARGET is a folder for what is kept between builds, TOOLS where pip has put ziglang and npm binaryen, LIMIT how many bytes the module may have, and TO
# the file to make. SQLite is the one whose source rusqlite brings for the tests of the crate.
set -eu
target=$1 tools=$2 features=$3 limit=$4 to=$5
zig() { PYTHONPATH="$tools" ZIG_GLOBAL_CACHE_DIR="$target/zig" ZIG_LOCAL_CACHE_DIR="$target/zig" "${PYTHON:-python3}" -m ziglang "$@"; }

sqlite=$(cargo metadata --format-version 1 --locked --filter-platform wasm32-wasip1 | "${PYTHON:-python3}" -c '
import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
print(pathlib.Path(next(p["manifest_path"] for p in packages if p["name"] == "libsqlite3-sys")).parent / "sqlite3")')

# Whole databases can be in memory, so what is temporary is too. Each option that leaves something out is for size.
options="-DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_USE_URI=1
    -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_SHARED_CACHE -DHAVE_LOCALTIME_R -DHAVE_ISNAN
    -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_RTREE"
flags="-target wasm32-wasi -msimd128 -mbulk-memory -Os -DNDEBUG"

mkdir -p "$target/objects"
wanted="$sqlite $options $flags"
if [ "$(cat "$target/objects/made" 2>/dev/null)" != "$wanted" ]; then
    echo "== compiling SQLite for WASM"
    zig cc $flags $options -c "$sqlite/sqlite3.c" -o "$target/objects/sqlite3.o"
    echo "$wanted" >"$target/objects/made"
fi
zig cc $flags -Wall -Wno-unused-parameter -I"$sqlite" -Iinclude -c wasm/module.c -o "$target/objects/module.o"

echo "== building fafcas for WASM ($features)"
RUSTFLAGS="-C target-feature=+simd128" cargo rustc --quiet --locked --lib --profile wasm --crate-type staticlib --no-default-features \
    --features "$features" --target wasm32-wasip1 --target-dir "$target/build"
zig cc $flags -mexec-model=reactor -s "$target/objects/module.o" "$target/objects/sqlite3.o" "$target/build/wasm32-wasip1/wasm/libfafcas.a" \
    -o "$target/objects/linked.wasm" -Wl,-z,stack-size=4194304 -Wl,--gc-sections $(sed 's/^/-Wl,--export=/' scripts/wasm/exports.txt)
echo "== making it smaller (wasm-opt)"
node "$tools/node_modules/binaryen/bin/wasm-opt" -Oz --enable-simd --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int \
    --enable-mutable-globals --enable-multivalue --enable-reference-types "$target/objects/linked.wasm" -o "$to"
bytes=$(wc -c <"$to")
echo "== $to: $bytes bytes, $(gzip -9 -c "$to" | wc -c) when compressed by gzip"
[ "$bytes" -le "$limit" ] || { echo "== expected at most $limit bytes"; exit 1; }
