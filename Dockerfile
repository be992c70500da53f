# The image of rollcall: one static binary, run by a user without a name.
#
#   docker build -t rollcall .
#   docker run -p 127.0.0.1:8080:8080 -v rollcall:/data -e NATS_URL=nats://… rollcall
ARG GO=golang:1.26
ARG BASE=gcr.io/distroless/static-debian12

FROM ${GO} AS build
ARG VERSION=devel
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/rollcall ./cmd/rollcall \
    && mkdir /out/data

FROM ${BASE}
COPY --from=build /out/rollcall /rollcall
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
# In a container everything listens on all addresses of the container: what is
# reachable from outside is decided by what is published.
ENV ROLLCALL_DATA_DIR=/data ROLLCALL_HTTP_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/rollcall"]
CMD ["serve"]
