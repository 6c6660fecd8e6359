# The bus as one static binary in an empty image.
FROM docker.io/library/rust:1.95.0-alpine AS build
# The toolchain of the image, without what only tests need.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apk add --no-cache musl-dev
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p arqonbus-server \
 && cp target/release/arqonbus /arqonbus

FROM scratch
COPY --from=build /arqonbus /arqonbus
# Nobody in particular; the image has no user database.
USER 65532:65532
# Within the container every interface is meant; what is reachable is decided by what is published.
ENV ARQONBUS_LISTEN=0.0.0.0:9100 \
    ARQONBUS_ADMIN=0.0.0.0:9101 \
    ARQONBUS_ALLOW_PUBLIC_WITHOUT_AUTH=true
EXPOSE 9100 9101
# Drains within drain.deadline_ms, 25 s: give the container more (`--stop-timeout 35`).
STOPSIGNAL SIGTERM
# No HEALTHCHECK: there is nothing in the image to run one with. Probe GET /health and /ready on 9101 from outside.
ENTRYPOINT ["/arqonbus"]
CMD ["serve"]
