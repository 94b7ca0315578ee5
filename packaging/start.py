#!/usr/bin/env python3
"""Records which functions run at the start, at rest and in a call, for packaging/start.ld:

    CARGO_PROFILE_RELEASE_STRIP=none packaging/build x86_64-unknown-linux-musl
    packaging/start.py target/x86_64-unknown-linux-musl/release/xray > packaging/start.ld.new

Several programs give one record: which of some equal functions keeps its name depends on the order that the program was linked
in, so one linked without the file (an empty `.text` in it) and one linked with it know more than either.

Needs valgrind and nm, and a program with its names. Worth doing again when packaging/resident says that the daemon at rest
holds more than it did: docs/adr/0021-what-runs-lies-together.md.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_tests"))
from support import VARIABLES, Endpoint, segment  # noqa: E402

HEAD = """\
/* The functions that run at the start and at rest, then those that a call adds, so that they lie together in the program: the
 * kernel maps sixteen pages around each one that is touched, and scattered over nine megabytes they hold six in memory.
 * Recorded by packaging/start.py. A name that matches nothing does no harm, and a function that is missing costs some pages.
 * Names are without what changes from compiler to compiler: docs/adr/0021-what-runs-lies-together.md. */
SECTIONS
{
  .text :
  {
"""
TAIL = """\
  }
}
INSERT AFTER .eh_frame;
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_functions(program, segments):
    """Names, as the linker has them, of all functions that run from the start to some seconds after `segments` were taken."""
    port = free_port()
    with Endpoint() as endpoint, tempfile.TemporaryDirectory() as directory:
        record = os.path.join(directory, "record")
        settings = os.path.join(directory, "cfg.yaml")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(f'Version: 2\nEndpoint: "{endpoint.at("127.0.0.1")}"\n')
        environment = {**VARIABLES, "PATH": os.environ["PATH"], "HOME": directory}
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={record}"]
        addresses = ["-b", f"127.0.0.1:{port}", "-t", f"127.0.0.1:{port}", "-c", settings]
        process = subprocess.Popen([*valgrind, program, *addresses], env=environment, stdout=sys.stderr)
        time.sleep(5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(segments):
                sender.sendto(segment(number), ("127.0.0.1", port))
                time.sleep(0.002)
        endpoint.has(segments)
        time.sleep(5)
        process.terminate()
        if process.wait() != 0:
            sys.exit(f"{program} ended with {process.returncode}")
        with open(record, encoding="utf-8") as file:
            names = set(re.findall(r"^c?fn=\(\d+\) ([^\s']+)", file.read(), re.MULTILINE))
    return with_equal_ones(program, names)


def with_equal_ones(program, names):
    """Those names and the other names of the same code: the linker folds equal functions, and keeps any one's section."""
    at, called = {}, {}
    for line in subprocess.check_output(["nm", program], text=True).splitlines():
        address, kind, name = line.rsplit(maxsplit=2) if line[0] != " " else ("", "", "")
        if kind in tuple("tTwW"):
            at[name] = address
            called.setdefault(address, set()).add(name)
    return {other for name in names if name in at for other in called[at[name]]}


def without_hashes(name):
    """The pattern of a name: without the hash at its end, or those of the crates in it and a number that the linker added."""
    if name.startswith("_ZN"):
        return re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", name)
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", re.sub(r"[.].*$", "", name)) + "*"


def lines(names):
    # What the compiler holds for cold lies in .text.unlikely.NAME. C has no such sections, and nothing to leave out of a name.
    rust = {f"    *(.text*.{without_hashes(name)})\n" for name in names if name.startswith(("_ZN", "_R"))}
    c = {f"    *(.text.{name})\n" for name in names if re.fullmatch(r"(?!_ZN|_R)[A-Za-z_]\w*", name)}
    return sorted(rust | c)


def of_all(programs, segments):
    return sorted({line for program in programs for line in lines(run_functions(program, segments))})


def main():
    programs = sys.argv[1:]
    if not programs:
        sys.exit(__doc__)
    rest = of_all(programs, 0)
    if not rest:
        sys.exit(f"{programs} have no names: build them with CARGO_PROFILE_RELEASE_STRIP=none")
    call = [line for line in of_all(programs, 200) if line not in set(rest)]
    sys.stdout.write("".join([HEAD, *rest, *call, TAIL]))


if __name__ == "__main__":
    main()
