# Two images: the job (the default, last target), and with `--target sandbox` the embedded ClearML Server for trying it out.
# The base needs Python 3.11 or newer with venv and pip under the name python3, and CA certificates, on Debian or a derivative.
# Where packages come from an index of your own, its pip.conf is given as the secret `pip`: it is in no layer and no history.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS base

FROM base AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/build.txt requirements/image.txt requirements/
# pip stays outside: the second environment is all that the images get, with the interpreter under its own name.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/build.txt \
 && "$(readlink -f "$(command -v python3)")" -m venv --without-pip /opt/clearml-cleanup \
 && /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-compile --no-deps --require-hashes \
    --only-binary :all: --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY cleanup_job cleanup_job
COPY clearml_sandbox clearml_sandbox
COPY image image
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-compile --no-deps --no-index /dist/*.whl

# What no command reads is removed, and the rest is compiled. Compiled files are valid without a look at their source's date, which
# tools that make or copy images change.
FROM build AS build-sandbox
COPY requirements/image-sandbox.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-compile --no-deps --require-hashes \
    --only-binary :all: --requirement requirements/image-sandbox.txt \
 && python3 image/trim.py /opt/clearml-cleanup \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/clearml-cleanup/lib

# The sandbox has no place beside real data.
FROM build AS build-job
RUN rm -r /opt/clearml-cleanup/lib/python3*/site-packages/clearml_sandbox \
    /opt/clearml-cleanup/lib/python3*/site-packages/cleanup_job/cli/demo.py \
 && python3 image/trim.py /opt/clearml-cleanup \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/clearml-cleanup/lib

# Python with the libraries that it and the packages need: no shell, no package manager, no other program.
FROM build AS build-root
RUN python3 image/root.py /root-of-image /opt/clearml-cleanup

FROM scratch AS runtime
COPY --from=build-root /root-of-image /
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
ENV PATH=/opt/clearml-cleanup/bin:/usr/local/bin:/usr/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A place for temporary files, such as the rows of a long report; this one can be written to on a read-only root too.
ENV TMPDIR=/dev/shm
USER 65532:65532
WORKDIR /
STOPSIGNAL SIGTERM
ENTRYPOINT ["clearml-cleanup"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
# Python finds its parts. Behind the arguments, since older buildahs look at their values for RUN alone, and would take labels from
# an earlier build.
RUN ["python3", "-c", "import ctypes, ssl, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin'); ssl.create_default_context().get_ca_certs()[0]"]
LABEL org.opencontainers.image.title="ClearML Cleanup" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

FROM runtime AS sandbox
LABEL org.opencontainers.image.description="An embedded ClearML Server with made-up tasks, to try ClearML Cleanup on."
COPY --from=build-sandbox /opt/clearml-cleanup /opt/clearml-cleanup
CMD ["sandbox", "--host", "0.0.0.0"]

FROM runtime AS job
LABEL org.opencontainers.image.description="Deletes archived ClearML tasks past a threshold, with their models, artifacts and debug samples. One pass per run."
COPY --from=build-job /opt/clearml-cleanup /opt/clearml-cleanup
