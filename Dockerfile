# The image of rollcall: one static binary, run by a user without a name.
#
#   docker build -t rollcall --build-arg VERSION=v1.2.3 --build-arg REVISION=$(git rev-parse HEAD) .
#   docker run --read-only -p 127.0.0.1:8080:8080 -v rollcall:/data -e NATS_URL=nats://… rollcall
#
# With podman or buildah add --format docker: the OCI's own format has no
# HEALTHCHECK.
ARG GO=golang:1.26
ARG BASE=gcr.io/distroless/static-debian12

FROM ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
ARG VERSION=devel
ARG REVISION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build \
    CGO_ENABLED=0 GOCACHE=/go/build go build -trimpath -o /out/rollcall \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${REVISION}" ./cmd/rollcall \
    && mkdir /out/data

FROM ${BASE}
ARG VERSION=devel
ARG REVISION=
LABEL org.opencontainers.image.title="rollcall" \
      org.opencontainers.image.description="Who is logged in where, now and at any past moment" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/rollcall /rollcall
# A volume that is made for the container gets its owner from here.
COPY --from=build --chown=65532:65532 /out/data /data
# In numbers: Kubernetes cannot see of a name that it is not root's.
USER 65532:65532
# All that is written is below it; the rest may be read-only.
VOLUME /data
# In a container everything listens on all addresses of the container: what is
# reachable from outside is decided by what is published.
ENV ROLLCALL_DATA_DIR=/data ROLLCALL_HTTP_ADDR=0.0.0.0:8080
EXPOSE 8080
# It lives while it reads a long stream for the first time, and while NATS is
# away: neither is cured by another container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/rollcall", "healthcheck"]
ENTRYPOINT ["/rollcall"]
CMD ["serve"]
