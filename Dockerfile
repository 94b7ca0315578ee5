# The image of the daemon: one static binary, the certificate authorities and a user. Needs BuildKit, the default
# since Docker 23.
#
#   docker build -t xray .
#   docker buildx build --platform linux/amd64,linux/arm64 -t xray .

# The compiler always runs on the machine's own processor and produces code for the one asked for: an arm64 image
# from an amd64 machine, or the other way round, takes no emulator.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build

# The processor of the image, in Docker's words, which are Debian's as well.
ARG TARGETARCH

# Rust brings its own linker and its own musl, but `ring` has C in it: clang compiles that for either processor, with
# the headers of musl for that processor.
RUN case "$TARGETARCH" in \
        amd64 | arm64) ;; \
        *) echo "no image for the processor '$TARGETARCH', only for amd64 and arm64 (is BuildKit on?)" >&2; exit 1 ;; \
    esac \
    && dpkg --add-architecture "$TARGETARCH" \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates clang llvm "musl-dev:$TARGETARCH" \
    && rm -rf /var/lib/apt/lists/*

RUN case "$TARGETARCH" in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; esac \
    && rustup target add "$cpu-unknown-linux-musl" \
    && echo "$cpu" > /cpu

# musl, so that the binary needs nothing of the image it runs in: not even name resolution reads a library at run
# time, as it would with a static glibc. A script, so that both builds below have the same settings: with others Cargo
# would build everything again. Relocations that are packed save half a megabyte, and functions with the same code, which are
# there once then, a third of one.
RUN printf '%s\n' '#!/bin/sh' \
        'cpu="$(cat /cpu)"' \
        'export CC=clang AR=llvm-ar CFLAGS="-nostdlibinc -isystem /usr/include/$cpu-linux-musl"' \
        'export RUSTFLAGS="-C linker=rust-lld -C link-self-contained=yes -C target-feature=+crt-static \' \
        '-C link-arg=-z -C link-arg=pack-relative-relocs -C link-arg=--icf=all"' \
        'exec cargo build --release --locked --target "$cpu-unknown-linux-musl" --package xray --bin xray' \
        > /usr/local/bin/build-xray \
    && chmod +x /usr/local/bin/build-xray

WORKDIR /build
# The dependencies, in a layer of their own that only a change of these files builds again: with an empty program in
# place of ours, Cargo builds all that ours needs.
COPY Cargo.toml Cargo.lock ./
COPY crates/xray-document/Cargo.toml crates/xray-document/
COPY crates/xray-double/Cargo.toml crates/xray-double/
COPY crates/xray-service/Cargo.toml crates/xray-service/
RUN mkdir -p src build benches/footprint benches/instructions benches/micro \
    && for package in . crates/*; do mkdir -p "$package/src" && : > "$package/src/lib.rs"; done \
    && echo 'fn main() {}' \
        | tee src/main.rs build/main.rs benches/footprint/main.rs benches/instructions/main.rs > benches/micro/main.rs \
    && build-xray

# What gets in is listed in .dockerignore.
COPY . .

# Our own source, which is older than what was built of the empty one, and would pass for built already.
RUN find src build crates -name '*.rs' -exec touch {} + \
    && build-xray \
    && target="$(cat /cpu)-unknown-linux-musl" \
    && mkdir -p /image/etc/ssl/certs /image/usr/bin \
    && cp "target/$target/release/xray" /image/xray \
    && ln -s /xray /image/usr/bin/xray \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && printf '%s\n' 'root:x:0:0:root:/root:/sbin/nologin' 'xray:x:10001:10001::/home/xray:/sbin/nologin' \
        > /image/etc/passwd \
    && printf '%s\n' 'root:x:0:' 'xray:x:10001:' > /image/etc/group \
    && install -d -o 10001 -g 10001 /image/home/xray /image/var/spool/xray \
    && ln -s /home/xray /image/root

FROM scratch
# What registries and scanners show of an image. Whoever publishes one adds where its source is and which change it was:
# docker build --label org.opencontainers.image.source=… --label org.opencontainers.image.revision=…
LABEL org.opencontainers.image.title="xray" \
      org.opencontainers.image.description="A drop-in replacement for the AWS X-Ray daemon" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# Owners are kept. /usr/bin/xray is where AWS's image and its Kubernetes sample have the program; /root/.aws, where its
# documentation mounts credentials, leads to the home below; a volume on /var/spool/xray belongs to the user when it is new.
COPY --from=build /image /

# Where the AWS SDK looks for `.aws/config` and `.aws/credentials`, whatever user a `--user` makes it: one that is not in
# /etc/passwd would have / for a home.
ENV HOME=/home/xray

# Unprivileged, by number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001

# The arguments of the official image: on every address, for the containers beside it. Arguments of `docker run` and
# of `command:` are added to these, and of a flag given twice the last one counts.
ENTRYPOINT ["/xray", "-t", "0.0.0.0:2000", "-b", "0.0.0.0:2000"]

# Whether the daemon answers on its TCP port; the image has no shell and no curl to ask with. Without arguments it asks
# where process 1 listens: by the arguments of the container, then by the same cfg.yaml.
HEALTHCHECK --interval=5s --timeout=5s CMD ["/xray", "healthcheck"]

# Segments come by UDP, the sampling calls of the SDKs by TCP.
EXPOSE 2000/udp
EXPOSE 2000/tcp
