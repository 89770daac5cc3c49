# puna in a container: docker build -t puna . && docker run -p 11434:11434 -v ollama:/root/.ollama puna
#
# The image holds the program, the libraries that it is linked with and the certificates of authorities, and nothing
# else: no shell, no package manager. BASE is any Debian 12.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG LANG=C.UTF-8
WORKDIR /src
COPY . .
RUN scripts/build
RUN packaging/make-root build/release/bin/puna /image

FROM scratch
COPY --from=build /image /
# As Ollama's image, but not as root: /root/.ollama belongs to this user.
USER 11434:11434
# Settings have Ollama's names here, so that "docker run -e" wins with either name.
ENV HOME=/root \
    OLLAMA_HOST=0.0.0.0:11434 \
    PATH=/usr/bin
VOLUME /root/.ollama
EXPOSE 11434
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/bin/puna", "ps"]
ENTRYPOINT ["/usr/bin/puna"]
CMD ["serve", "--log-file", "none"]
