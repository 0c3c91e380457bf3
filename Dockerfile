# The service with its rules, for a container:
#
#   docker build -t calspamd .
#   docker run --rm --read-only --cap-drop ALL -p 127.0.0.1:11380:11380 calspamd
#
# The port has no password. Publish it on loopback or on a network of its own, never to the world.
#
# Who must be able to build the very same image again names the bases by digest:
#   --build-arg RUST_IMAGE=rust@sha256:… --build-arg RUNTIME_IMAGE=debian@sha256:…

ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:12-slim

FROM ${RUST_IMAGE} AS build
# The profile of Cargo.toml; ci builds faster and runs slower.
ARG PROFILE=release
# true where the crates are in the base image already.
ARG CARGO_NET_OFFLINE=false
WORKDIR /build
# The regex library is compiled in, so that the second stage needs no packages.
ENV PCRE2_SYS_STATIC=1
COPY . .
# Of the debug information only names are kept: a panic in the log still says where.
RUN cargo build --profile "$PROFILE" --locked --bin calspamd \
    && mkdir -p out/var/lib/calspamd out/usr/bin out/usr/share/calspamd out/usr/share/doc/calspamd \
    && strip --strip-debug -o out/usr/bin/calspamd "target/$PROFILE/calspamd" \
    # The stock rules are in the binary already. These are for reading, and for copying from.
    && cp -R rules out/usr/share/calspamd/ \
    && cp LICENSE-APACHE LICENSE-MIT out/usr/share/doc/calspamd/

FROM ${RUNTIME_IMAGE} AS runtime
COPY --from=build /build/out/usr /usr
# A volume that is new takes the owner over; without one the state is lost with the container.
COPY --from=build --chown=65532:65532 /build/out/var/lib/calspamd /var/lib/calspamd
# Inside a container loopback is of no use to anybody; the network around it is the guard.
ENV CALSPAMD_HTTP__LISTEN=0.0.0.0:11380 \
    CALSPAMD_HTTP__INSECURE=true
# By number, so that runAsNonRoot can be checked without /etc/passwd.
USER 65532:65532
EXPOSE 11380
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/calspamd", "health"]
ENTRYPOINT ["/usr/bin/calspamd"]
