# One image for web and worker: what runs is told by the command.
# Good for `docker build .`, for compose.yaml, and for fly.toml and deploy/fly.postgres.toml.
FROM python:3.11-slim-bookworm

SHELL ["/bin/sh", "-eu", "-c"]

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    ENV=production HOST=0.0.0.0 PORT=8080

# A number of its own, so that volumes and `user:` elsewhere can name it.
RUN groupadd --gid 10001 tillwire \
    && useradd --no-log-init --uid 10001 --gid 10001 --create-home --home-dir /home/tillwire tillwire \
    && install -d -o tillwire -g tillwire -m 700 /data

WORKDIR /srv/tillwire

# The same versions as everywhere, by hash, without what only tests need.
COPY deploy/requirements.lock ./
RUN python -m pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md wsgi.py ./
COPY connectors connectors
COPY mappings mappings
COPY app app
RUN python -m pip install --no-deps --no-build-isolation -e . && python -m compileall -q app connectors mappings

# A fresh volume may belong to root. So the container begins as root, hands over the volume and goes on as tillwire;
# started as another user (`user: "10001"`), it leaves everything as it is.
COPY --chmod=755 deploy/as-tillwire /usr/local/bin/as-tillwire

EXPOSE 8080

# For web, and for a worker that tells how it is doing (`tillwire worker --port 8080`).
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["as-tillwire"]
CMD ["tillwire", "serve"]
