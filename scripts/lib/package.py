"""Zip each Lambda's binary as `<out>/<function>/bootstrap.zip`.

The same binary gives the same bytes: one entry, a fixed time, mode 0755. A zip is
written only where its binary changed, so that Terraform sees a change only where
there is one.
"""

import argparse
import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def write_zip(binary, target, level):
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.create_system = UNIX
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        archive.writestr(entry, binary, compresslevel=level)
    os.replace(partial, target)


def package(source, target, level):
    """Whether the zip had to be written."""
    record = target.with_suffix(".source")
    status = source.stat()
    try:
        known = json.loads(record.read_text()) if target.exists() else {}
    except (OSError, ValueError):
        known = {}
    seen = {"size": status.st_size, "modified": status.st_mtime_ns, "level": level}
    if {key: known.get(key) for key in seen} == seen:
        return False
    binary = source.read_bytes()
    digest = hashlib.sha256(binary).hexdigest()
    changed = (known.get("sha256"), known.get("level")) != (digest, level)
    if changed:
        write_zip(binary, target, level)
    record.write_text(json.dumps({**seen, "sha256": digest}))
    return changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="path of a binary; {} stands for the function's name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--level", type=int, default=9, help="of compression, 1 to 9")
    parser.add_argument("functions", nargs="+")
    args = parser.parse_args()
    written = 0
    for function in args.functions:
        source = Path(args.binary.format(function))
        if not source.is_file():
            sys.exit(f"{source} is missing: does the crate lambdas/{function} build a binary of that name?")
        written += package(source, args.out / function / "bootstrap.zip", args.level)
    stale = {folder.name for folder in args.out.iterdir() if folder.is_dir()} - set(args.functions)
    for name in sorted(stale):
        for file in ("bootstrap.zip", "bootstrap.source"):
            (args.out / name / file).unlink(missing_ok=True)
    print(f"{written} of {len(args.functions)} zips written")


if __name__ == "__main__":
    main()
