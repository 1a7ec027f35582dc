"""`run`: the operator."""

import typer

from controller.settings import read_settings


def run() -> None:
    """Run the operator: KUBECONFIG or the pod's service account, settings from MDC_* variables (docs/settings.md).

    Needs MDC_OWNER and MDC_DATABASE_URL or MDC_DATABASE_URL_FILE. Ends with 0 after SIGTERM.
    """
    settings = read_settings()
    from controller.operator.main import run as operate  # noqa: PLC0415  # kopf, which no other command needs

    raise typer.Exit(operate(settings))
