# Two images: the job (the default, last target), and with `--target sandbox` the embedded ClearML Server for trying it out.
# The base needs Python 3.11 or newer with venv and pip under the name python3, on Debian or another system with glibc.
# Where packages come from an index of your own, its pip.conf is given as the secret `pip`: it is in no layer and no history.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/build.txt requirements/runtime.txt requirements/
# pip stays outside: the second environment is all that the images get. What the locks name is what is installed, except for the
# Kubernetes client's asyncio half, 40 MB that are never imported.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/build.txt \
 && python3 -m venv --without-pip /opt/clearml-cleanup \
 && /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-deps --require-hashes --only-binary :all: \
    --requirement requirements/runtime.txt \
 && rm -r /opt/clearml-cleanup/lib/python3*/site-packages/kubernetes/aio
COPY pyproject.toml README.md LICENSE ./
COPY cleanup_job cleanup_job
COPY clearml_sandbox clearml_sandbox
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-deps --no-index /dist/*.whl

FROM build AS build-sandbox
COPY requirements/sandbox.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    /opt/build/bin/pip --python /opt/clearml-cleanup/bin/python install --quiet --no-deps --require-hashes --only-binary :all: \
    --requirement requirements/sandbox.txt

# The sandbox has no place beside real data.
FROM build AS build-job
WORKDIR /opt/clearml-cleanup/lib
RUN rm -r python3*/site-packages/clearml_sandbox python3*/site-packages/cleanup_job/cli/demo.py

FROM ${BASE_IMAGE} AS base
# Some bases come without the standard library's compiled form, and a read-only image would compile it at each start.
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/wheel /usr/share/python-wheels /usr/lib/python3*/ensurepip \
    /usr/local/lib/python3*/ensurepip /usr/lib/python3/dist-packages/pip* /usr/local/lib/python3*/site-packages/pip* \
    /usr/lib/python3/dist-packages/setuptools* /usr/local/lib/python3*/site-packages/setuptools* \
    /usr/lib/python3/dist-packages/wheel* /usr/local/lib/python3*/site-packages/wheel* \
    /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /root/.cache /tmp/* \
 && python3 -m compileall -q -x '/(test|tests|lib2to3|site-packages|dist-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

FROM scratch AS runtime
# In one layer, so that what was removed is not there.
# hadolint ignore=DL3067
COPY --from=base / /
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
# Behind the arguments, since older buildahs look at their values for RUN alone, and would take labels from an earlier build.
RUN echo 'cleanup:x:65532:65532:ClearML Cleanup:/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'cleanup:x:65532:' >> /etc/group
# The clearml package wants a place for temporary files when it is imported; this one exists on a read-only root too.
ENV TMPDIR=/dev/shm
ENV PATH=/opt/clearml-cleanup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
STOPSIGNAL SIGTERM
ENTRYPOINT ["clearml-cleanup"]
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
