# The operator's image: Python with venv, the libraries that requirements-image.lock pins, and our wheels.
#
#   docker build -t registry.example.com/vaultsync:0.1.0 .
#
# The base needs Python 3.11 or newer with the venv module, and CA certificates. The digest is that of the tag's index, for
# all platforms; `docker buildx imagetools inspect docker.io/library/python:3.13-slim-trixie` prints the present one.
ARG BASE=docker.io/library/python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
WORKDIR /build
# Only files whose hashes are in the lock file are downloaded: first the build tool and all libraries, …
COPY requirements-image.lock ./
RUN python3 -m venv tools \
 && tools/bin/pip download --no-cache-dir --require-hashes --only-binary :all: --dest wheels -r requirements-image.lock \
 && tools/bin/pip install --no-cache-dir --no-index --find-links wheels hatchling
# … then nothing more. What the operator never uses of them is left out, and modules are compiled now, since the file system
# may be read-only.
COPY pyproject.toml README.md LICENSE trim-packages.sh ./
COPY operator operator
RUN tools/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir wheels \
        . ./operator/kvsecrets \
 && python3 -m venv --without-pip /opt/vaultsync \
 && tools/bin/pip --python /opt/vaultsync/bin/python install --no-cache-dir --no-index --find-links wheels \
        --no-compile 'vaultsync[tracing]' \
 && sh trim-packages.sh /opt/vaultsync/lib/python3.*/site-packages \
 && /opt/vaultsync/bin/python -m compileall -q /opt/vaultsync/lib

FROM ${BASE} AS runtime
COPY --from=build /opt/vaultsync /opt/vaultsync
# The file system may be read-only: nothing is written, not even compiled modules, which exist already. The user id may be
# any number without a passwd entry: libraries that need a user name and a home directory find them here.
ENV PATH=/opt/vaultsync/bin:$PATH \
    HOME=/ \
    USER=vaultsync \
    PYTHONDONTWRITEBYTECODE=1
# Numeric, so that Kubernetes can verify runAsNonRoot.
USER 65532:65532

# An emulated Key Vault, to try the operator in a cluster without Azure: only by `docker build --target emulator`.
FROM runtime AS emulator
LABEL org.opencontainers.image.title="vaultsync-emulator" \
      org.opencontainers.image.description="An emulated Azure Key Vault. Not for production." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY demo/__init__.py demo/emulator.py demo/vault.py /opt/emulator/demo/
COPY tests/__init__.py /opt/emulator/tests/
COPY tests/emulator/__init__.py tests/emulator/login.py tests/emulator/tokens.py /opt/emulator/tests/emulator/
ENV PYTHONPATH=/opt/emulator
EXPOSE 8443
ENTRYPOINT ["python", "-m", "demo.emulator"]

# The operator: the last stage, which is built by default.
FROM runtime
LABEL org.opencontainers.image.title="vaultsync" \
      org.opencontainers.image.description="Syncs Azure Key Vault secrets into Kubernetes Secrets and corrects drift." \
      org.opencontainers.image.licenses="Apache-2.0"
EXPOSE 8080 8081
ENTRYPOINT ["vaultsync"]
CMD ["run"]
