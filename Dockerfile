# One image for every role: `serve ingest`, `serve scorer`, `serve notifier`, `migrate` and all other commands.

# Tags can be moved by others. `deploy/pin-images` prints the same images with their digests, to be given as arguments.
ARG RUST_IMAGE=docker.io/library/rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --package touchstone && cp target/release/touchstone /touchstone
RUN mkdir /data

# Holds the C library, certificates and an unprivileged account; no shell, no package manager.
FROM ${RUNTIME_IMAGE}
COPY --from=build /touchstone /usr/local/bin/touchstone
# A fresh volume takes the owner of the folder that it is mounted at.
COPY --from=build --chown=nonroot:nonroot --chmod=700 /data /var/lib/touchstone
# Without services all data is in this folder, and the start is refused unless a volume is mounted there.
ENV TOUCHSTONE_LISTEN=0.0.0.0:8080 TOUCHSTONE_DATA_VOLUME=/var/lib/touchstone
USER nonroot
EXPOSE 8080 9100
# The probe door is opened by `--probe-listen 0.0.0.0:9100`, as compose.yaml does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/touchstone", "probe", "http://127.0.0.1:9100/readyz"]
ENTRYPOINT ["/usr/local/bin/touchstone"]
CMD ["serve", "--probe-listen", "0.0.0.0:9100"]
