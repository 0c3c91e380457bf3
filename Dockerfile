# The service with its rules, for a container:
#
#   docker build -t calspamd .
#   docker run --rm -p 127.0.0.1:11380:11380 calspamd
#
# The port has no password. Publish it on loopback or on a network of its own, never to the world.

ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:12-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# The regex library is compiled in, so that the second stage needs no packages.
ENV PCRE2_SYS_STATIC=1
COPY . .
RUN cargo build --release --locked --bin calspamd

FROM ${RUNTIME_IMAGE} AS runtime
COPY --from=build /build/target/release/calspamd /usr/bin/calspamd
# The stock rules are in the binary already. These are for reading, and for copying from.
COPY --from=build /build/rules /usr/share/calspamd/rules
COPY --from=build /build/LICENSE-APACHE /build/LICENSE-MIT /usr/share/doc/calspamd/
# Inside a container loopback is of no use to anybody; the network around it is the guard.
ENV CALSPAMD_HTTP__LISTEN=0.0.0.0:11380 \
    CALSPAMD_HTTP__INSECURE=true
# By number, so that runAsNonRoot can be checked without /etc/passwd.
USER 65532:65532
EXPOSE 11380
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/calspamd", "health"]
ENTRYPOINT ["/usr/bin/calspamd"]
