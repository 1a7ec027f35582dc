"""`serve`: the API that receives DeployCenter's webhooks."""

from pathlib import Path
from typing import Annotated

import typer

from controller.settings import read_api_settings, read_settings

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Write MailDomains as files into this folder, without a cluster.",
    ),
]


def serve(*, folder: Folder = None) -> None:
    """Run the API: declare mail domains, take hints, answer who may open what. Settings: docs/settings.md.

    Without --folder MailDomains are applied to the cluster of KUBECONFIG, or of the pod. Ends with 0 after SIGTERM.
    """
    settings, api = read_settings(), read_api_settings()
    from controller.provisioning.main import run as operate  # noqa: PLC0415  # what no other command needs

    raise typer.Exit(operate(settings, api, folder))
