"""What is answered at which address? The addresses, their description, and how this process is."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from controller.observability.metrics import CONTENT_TYPE, Metrics
from controller.provisioning.endpoint import Address
from controller.provisioning.openapi import describe


def application(addresses: Sequence[Address], metrics: Metrics) -> Starlette:
    """The ASGI application. Beside the addresses it answers probes, scrapers, and whoever wants its description."""
    description = describe(addresses)

    async def schema(_: Request) -> Response:
        return JSONResponse(description)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def measurements(_: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    routes = [
        *(route for address in addresses for route in address.routes(metrics)),
        Route("/api/v1.0/schema", schema),
        Route("/api/v1.0/schema/", schema),
        Route("/healthz", healthy),
        Route("/readyz", healthy),
        Route("/metrics", measurements),
    ]
    return Starlette(routes=routes)
