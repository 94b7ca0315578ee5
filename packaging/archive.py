"""Writes OUT/NAME.tar.gz, or OUT/NAME.zip for Windows, from the folder PARENT/NAME: archive.py PARENT NAME OUT.

Names are sorted, times, owners and modes are set, so that the same files make the same archive on any machine.
"""

import gzip
import pathlib
import sys
import tarfile
import zipfile

PROGRAMS = {"xray", "xray.exe"}
# 1980-01-01, the first day of which a zip file can tell.
MTIME_S = 315_532_800
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def mode_of(file: pathlib.Path) -> int:
    return 0o755 if file.name in PROGRAMS else 0o644


def write_tar(parent: pathlib.Path, files: list[pathlib.Path], out: pathlib.Path) -> None:
    with (
        open(out, "wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=MTIME_S) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in files:
            entry = tarfile.TarInfo(file.relative_to(parent).as_posix())
            entry.size = file.stat().st_size
            entry.mode = mode_of(file)
            entry.mtime = MTIME_S
            entry.uname = entry.gname = "root"
            with open(file, "rb") as content:
                archive.addfile(entry, content)


def write_zip(parent: pathlib.Path, files: list[pathlib.Path], out: pathlib.Path) -> None:
    with zipfile.ZipFile(out, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(parent).as_posix(), ZIP_TIME)
            entry.external_attr = (0o100000 | mode_of(file)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def main() -> None:
    parent, name, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    files = sorted(file for file in (parent / name).rglob("*") if file.is_file())
    is_windows = "-windows-" in name
    archive = out / f"{name}{'.zip' if is_windows else '.tar.gz'}"
    (write_zip if is_windows else write_tar)(parent, files, archive)
    print(archive)


if __name__ == "__main__":
    main()
