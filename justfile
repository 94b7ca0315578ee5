# The steps of .ci/run, one recipe each, for whoever has `just` (cargo install just). They do what `.ci/run STEP` does;
# tests/docs compares the two lists. CONTRIBUTING.md says which to run when, docs/testing.md what each test proves.

set quiet

# this list
default:
    @just --list --unsorted

# everything that must hold before a change goes in, as the CI runs it
ci:
    .ci/run

# installs the system packages that the tests with real clients need (Debian)
tools:
    .ci/run tools

# format
fmt:
    .ci/run fmt

# no address of a registry, no path of this machine, nothing foreign that was changed
files:
    .ci/run files

# the workflows, by actionlint
workflows:
    .ci/run workflows

# the types of the page's modules, by TypeScript
types:
    .ci/run types

# lints of all targets; a warning is an error
lint:
    .ci/run lint

# types, for Windows and macOS; a warning is an error
systems:
    .ci/run systems

# the documentation of the crates, without a broken link
doc:
    .ci/run doc

# licences, bans, duplicates, sources, known vulnerabilities (deny.toml)
deny:
    .ci/run deny

# dependencies that no code uses
unused:
    .ci/run unused

# all tests; what needs Python, Node.js, Java, Go or Chromium is left out where it is missing
test:
    .ci/run test

# the tests that need nothing but Cargo
test-fast:
    .ci/run test-fast

# the tests with real clients and a browser
e2e:
    .ci/run e2e

# `xray dev` and `xray send`, as the README has them
trace:
    .ci/run trace

# completions and man pages anew, after a change of a flag
shipped:
    .ci/run shipped

# archive, deb and rpm below target/dist, and whether they can be installed and purged
packages:
    .ci/run packages

# random faults for SOAK_SECONDS (300), and more seeds of the simulation
soak:
    .ci/run soak

# what the daemon costs: 15 minutes, `just bench --quick` for one; `--help` lists the choices
bench *arguments:
    .ci/run bench -- {{arguments}}

# what a call costs in instructions and cache lines, beside what is recorded; `--functions` says where, `--record` records
instructions *arguments:
    .ci/run instructions -- {{arguments}}

# each fuzz target for FUZZ_SECONDS (60), or those that are named
fuzz *targets:
    .ci/run fuzz -- {{targets}}

# whether the tests notice when the code is changed: hours, or minutes with `--file src/…`
mutants *arguments:
    .ci/run mutants -- {{arguments}}

# the container image, and whether it starts
image:
    .ci/run image

# the image as people run it: `just image-test -k limits` for a part of it
image-test *arguments:
    .ci/run image-test -- {{arguments}}
