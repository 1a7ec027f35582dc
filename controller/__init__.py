"""maildomain-controller: keeps the administrators of mail domains equal to what DeployCenter says."""

from importlib.metadata import version

__version__ = version("maildomain-controller")
