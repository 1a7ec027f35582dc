"""`validate`: whether documents can be used, offline."""

from controller.cli.console import tell, warn
from controller.cli.inputs import read_declarations
from controller.cli.options import Files
from controller.cli.wording import counted
from controller.permissions.realm import convene
from controller.permissions.references import dangling
from controller.resources.documents import Declarations


def validate(file: Files) -> None:
    """Check documents without a database and without a source: every problem of every file at once.

    Exit codes: 0 all can be used, 6 invalid.
    """
    declared = read_declarations(file)
    sources = {source.key: source for source in declared.sources}
    for domain in declared.domains:
        for key in domain.source_keys:
            source = sources.get(key)
            if source is None:
                warn(f"MailDomain {domain.key}: EntitlementSource {key} is not among these files")
            elif not source.serves(domain.metadata.namespace, domain.domain):
                warn(f"MailDomain {domain.key}: EntitlementSource {key} does not admit it (spec.consumers)")
    _warn_of_names(declared)
    tell(f"valid: {counted(len(declared.domains), 'MailDomain')}, {counted(len(sources), 'EntitlementSource')}")


def _warn_of_names(declared: Declarations) -> None:
    """Say which names of services, roles, groups and links lead nowhere: they give nothing."""
    links = convene(declared.domains, declared.charter, {}).links
    for where, found in dangling(declared.domains, declared.charter, links):
        warn(f"{where}: {found}")
