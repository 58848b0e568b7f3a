# The four programs of the lab as static binaries in an otherwise empty image.
#
# Plain Dockerfile syntax, so that it also builds without BuildKit. Behind a company's own CA,
# build from an image that already trusts it: --build-arg RUST_IMAGE=… (for compose: RUST_IMAGE=…
# in the environment or in .env). All it takes is
#   FROM rust:1-slim-bookworm
#   COPY company.crt /usr/local/share/ca-certificates/
#   RUN update-ca-certificates
ARG RUST_IMAGE=rust:1-slim-bookworm

# The workspace's outline: every manifest as it is, every source file an empty program. It changes
# only when a dependency or the set of files does, and no list of crates has to be kept here.
FROM ${RUST_IMAGE} AS outline
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name '*.rs' -delete \
 && find . -name '*.rs' -exec sh -c 'for file; do echo "#![allow(warnings)] pub fn main() { }" > "$file"; done' sh {} +

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# CI builds by the profile `image`, which is linked in a fraction of the time.
ARG PROFILE=release
# Naming a target, even if it is the host's own, keeps crt-static away from procedural macros,
# which could not be loaded as static libraries.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    BUILD="cargo build --profile ${PROFILE} --locked --target host-tuple -p visit -p nameserver -p resolver -p app"

# The dependencies alone: this layer outlives changes of our own sources.
COPY --from=outline /src .
RUN $BUILD

# Cargo compares times, and a checkout is older than the empty programs just built.
COPY . .
RUN find . -name '*.rs' -exec touch {} + && $BUILD
# A clone made under a strict umask would leave the lab unreadable for the image's user.
RUN mkdir -p /out/bin \
 && cd target/*-linux-*/"${PROFILE}" && cp visit nameserver resolver app /out/bin/ \
 && cp -r /src/lab /out/lab && chmod -R a+rX /out \
 && mkdir -p -m 711 /own/data

FROM scratch
COPY --from=build /out /
# Where the lab's certificate authority is kept: a volume there begins as this user's own. Others find the certificate in
# it by its name, which a program that captures has to: it is root without root's rights over files. The key is its owner's.
COPY --from=build --chown=65534:65534 /own /
USER 65534:65534
ENTRYPOINT ["/bin/visit"]
