"""What is answered at which address? The endpoints, their description, and how this process is."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from controller.observability.metrics import CONTENT_TYPE, Metrics
from controller.provisioning.endpoint import Endpoint
from controller.provisioning.openapi import describe


def application(endpoints: Sequence[Endpoint], metrics: Metrics) -> Starlette:
    """The ASGI application. Beside the endpoints it answers probes, scrapers, and whoever wants its description."""
    description = describe(endpoints)

    async def schema(_: Request) -> Response:
        return JSONResponse(description)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def measurements(_: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    routes = [
        *(route for endpoint in endpoints for route in endpoint.routes(metrics)),
        Route("/api/v1.0/schema", schema),
        Route("/api/v1.0/schema/", schema),
        Route("/healthz", healthy),
        Route("/readyz", healthy),
        Route("/metrics", measurements),
    ]
    return Starlette(routes=routes)
