"""A setting that can't be used is named, with what to write instead, and never with what was written."""

import pytest

from controller.errors import InvalidInput
from controller.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("MDC_FREEZE", "zz-perhaps", "write true or false"),
        ("MDC_HEALTH_PORT", "zz-eighty", "write a whole number"),
        ("MDC_HEALTH_PORT", "-1", "write 0 or more"),
        ("MDC_HEALTH_PORT", "65536", "write 65535 or less"),
        ("MDC_JOURNAL_RETENTION", "31", "write 32 or more"),
        ("MDC_LOG_LEVEL", "zz-loud", "write 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("MDC_OWNER", "zz Two", f"write a text that matches {Settings.model_fields['owner'].metadata[0].pattern}"),
    ],
)
def test_a_setting_that_is_not_usable_comes_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as refused:
        read_settings()
    assert str(refused.value) == f"environment: {variable}: is not usable; {remedy}"
