#!/usr/bin/python3
"""Unpacks the downloaded archives of pinned.txt: unpack.py DOWNLOADS DEST.

Makes DEST/python (pyarrow, DuckDB and polars, which the tests read result files with),
DEST/arrow/{include,lib} (the C++ library out of pyarrow's archive) and DEST/googleapis
(google/rpc/*.proto).
"""

import os
import pathlib
import shutil
import sys
import zipfile


def one(downloads, prefix):
    found = sorted(downloads.glob(prefix + "-*.whl"))
    if len(found) != 1:
        sys.exit(f"unpack: expected one {prefix} archive, found={len(found)} in={downloads}")
    return found[0]


def extract(archive, dest, wanted):
    with zipfile.ZipFile(archive) as z:
        members = [n for n in z.namelist() if not n.endswith("/") and wanted(n)]
        z.extractall(dest, members)


def link_arrow(package, dest):
    """Hard links: 70 MB of headers and libraries need not lie on the disk twice, where it can be."""
    pairs = [(p, dest / "include" / p.relative_to(package / "include"))
             for p in (package / "include").rglob("*") if p.is_file()]
    for library in ("libarrow.so.*", "libparquet.so.*"):
        pairs += [(p, dest / "lib" / p.name) for p in package.glob(library)]
    for licence in ("LICENSE.txt", "NOTICE.txt"):
        pairs += [(p, dest / p.name) for p in package.parent.glob("pyarrow-*/**/" + licence)]
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)


def main():
    downloads, dest = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    extract(one(downloads, "pyarrow"), dest / "python", lambda n: "/tests/" not in n)
    for reader in ("duckdb", "polars", "polars_runtime_32"):
        extract(one(downloads, reader), dest / "python", lambda n: True)
    link_arrow(dest / "python" / "pyarrow", dest / "arrow")
    protos = {f"google/rpc/{name}.proto" for name in ("code", "error_details", "status")}
    extract(one(downloads, "googleapis_common_protos"), dest / "googleapis", protos.__contains__)


if __name__ == "__main__":
    main()
