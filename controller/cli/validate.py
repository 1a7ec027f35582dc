"""`validate`: whether documents can be used, offline."""

from controller.cli.console import tell, warn
from controller.cli.inputs import read_declarations
from controller.cli.options import Files
from controller.cli.wording import counted


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
    tell(f"valid: {counted(len(declared.domains), 'MailDomain')}, {counted(len(sources), 'EntitlementSource')}")
