# One image for every role: `serve ingest`, `serve scorer`, `serve notifier`, `migrate` and all other commands.

FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --package touchstone && cp target/release/touchstone /touchstone

# Holds the C library, certificates and an unprivileged account; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /touchstone /usr/local/bin/touchstone
ENV TOUCHSTONE_LISTEN=0.0.0.0:8080 TOUCHSTONE_DATA_DIR=/tmp
USER nonroot
EXPOSE 8080 9100
# The probe door is opened by `--probe-listen 0.0.0.0:9100`, as compose.yaml does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/touchstone", "probe", "http://127.0.0.1:9100/readyz"]
ENTRYPOINT ["/usr/local/bin/touchstone"]
CMD ["serve", "--probe-listen", "0.0.0.0:9100"]
