# The interpreter is the same in both stages: an environment is tied to the one that made it.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.11,<1"
ENV UV_PROJECT_ENVIRONMENT=/opt/maildomain-controller \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /src
# What the lock file names first: it changes less often than the code.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY crds/ crds/
COPY controller/ controller/
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim
COPY --from=build /opt/maildomain-controller /opt/maildomain-controller
ENV PATH=/opt/maildomain-controller/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=131072
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["maildomain-controller"]
CMD ["run"]
