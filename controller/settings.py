"""What does one process need to be told? Its settings, read once from the environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from controller.errors import DatabaseUnavailable, InvalidInput, Problem, SecretMissing


def _comma_list(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


Namespaces = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)]


class Settings(BaseSettings):
    """The process settings. Every field is the environment variable `MDC_<NAME>` unless an alias says otherwise."""

    model_config = SettingsConfigDict(env_prefix="MDC_", frozen=True, populate_by_name=True, extra="ignore")

    database_url: SecretStr | None = None
    """SQLAlchemy URL of the mail database: `postgresql://`, `postgresql+psycopg://` or `sqlite:///PATH`."""

    database_url_file: Path | None = None
    """A file that holds the URL; read again at each connect, so that passwords rotate without a restart."""

    owner: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")
    """Who owns the rows that this install grants; required by `run`, `file` for files."""

    namespaces: Namespaces = ()
    """Where MailDomains are watched; empty = the whole cluster."""

    source_namespaces: Namespaces = ()
    """Where EntitlementSources are honoured; empty = the operator's own namespace."""

    pod_namespace: str = Field(default="", validation_alias="POD_NAMESPACE")
    """The operator's own namespace."""

    health_port: int = Field(default=8080, ge=0, le=65535)
    """Port of `/healthz`, `/readyz` and `/metrics`; 0 lets the system choose one."""

    freeze: bool = False
    """Whether this process writes nothing, as if everything were suspended."""

    feature_maildomain_create: bool = Field(default=True, validation_alias="FEATURE_MAILDOMAIN_CREATE")
    """Whether people may have mail domains created; the provisioning API may in any case (A-80)."""

    feature_maildomain_manage_accesses: bool = Field(
        default=True, validation_alias="FEATURE_MAILDOMAIN_MANAGE_ACCESSES"
    )
    """Whether people may say who administers a domain; the synchronisation goes on in any case (A-81)."""

    messages_url: str | None = Field(default=None, pattern=r"^https?://[^\x00-\x20/?#@]+(/[^\x00-\x20?#]*)?$")
    """Address of the mail application's provisioning endpoint, used as it is; without it no domain is created."""

    messages_key_file: Path | None = None
    """A file that holds its key; read again for each request, so that keys rotate without a restart."""

    messages_channel: str | None = Field(default=None, pattern=r"^[!-~]{1,128}$")
    """The channel that the key belongs to, where the mail application has channels."""
    journal_retention: int | None = Field(default=None, ge=32, le=36_500)
    """Days for which entries of the journal are kept, more than any window of a limit has; not set = for ever."""

    log_format: Literal["json", "text"] = "text"
    """`json` for a log collector, `text` for people."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe record that is shown."""


class ApiSettings(BaseSettings):
    """The settings of `serve` alone, named as the others are."""

    model_config = SettingsConfigDict(env_prefix="MDC_", frozen=True, populate_by_name=True, extra="ignore")

    api_port: int = Field(default=8000, ge=0, le=65535)
    """Port of the API; 0 lets the system choose one."""

    provisioning_template: Path | None = None
    """The file with what every MailDomain that is made has in common."""

    provisioning_keys: Path | None = None
    """A folder of files with keys for `Authorization: Bearer`."""

    provisioning_channels: Path | None = None
    """A folder of files with keys for `X-API-Key`, each named after its `X-Channel-Id`."""

    provisioning_rate: int = Field(default=500, ge=1, le=100_000)
    """Names a second that one key may send."""

    hooks_keys: Path | None = None
    """A folder of files with keys for the hints of DeployCenter."""

    review_keys: Path | None = None
    """A folder of files with keys for questions about who may open which service."""


class ReportSettings(BaseSettings):
    """The settings of error reports, under the names that Sentry's clients have for them."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    sentry_dsn: SecretStr | None = Field(default=None, validation_alias="SENTRY_DSN")
    """Where reports go; nowhere without it."""

    sentry_environment: str = Field(default="production", validation_alias="SENTRY_ENVIRONMENT")
    """What the reports of this install are told apart by."""

    sentry_release: str | None = Field(default=None, validation_alias="SENTRY_RELEASE")
    """What runs here; the version of this program where nothing is named."""


SettingsT = TypeVar("SettingsT", Settings, ApiSettings, ReportSettings)


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises `InvalidInput` with one problem for each variable that can't be used; values are never shown.
    """
    return _read_environment(Settings)


def read_api_settings() -> ApiSettings:
    """Read the settings of `serve`, as `read_settings` does."""
    return _read_environment(ApiSettings)


def read_report_settings() -> ReportSettings:
    """Read the settings of error reports, as `read_settings` does."""
    return _read_environment(ReportSettings)


def _read_environment(model: type[SettingsT]) -> SettingsT:
    try:
        return model()
    except ValidationError as error:
        problems = (
            Problem("environment", _variable(detail["loc"]), "is not usable", _remedy(detail))
            for detail in error.errors(include_input=False, include_url=False)
        )
        raise InvalidInput(*problems) from None


_REMEDIES = {
    "bool_parsing": "write true or false",
    "int_parsing": "write a whole number",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "literal_error": "write {expected}",
    "string_pattern_mismatch": "write a text that matches {pattern}",
}
"""What to do about each pydantic error that a setting can raise."""


def _remedy(detail: ErrorDetails) -> str:
    remedy = _REMEDIES.get(detail["type"])
    return remedy.format_map(detail.get("ctx", {})) if remedy is not None else detail["msg"]


def database_url(settings: Settings, given: str | None = None) -> Callable[[], str]:
    """How the database URL is read at each connect: what is `given`, else the variable, else the file of the other.

    Raises `InvalidInput` when none of them names a database.
    """
    known = given or (settings.database_url.get_secret_value() if settings.database_url else "")
    if known:
        return lambda: known
    file = settings.database_url_file
    if file is None:
        remedy = "give --database-url, MDC_DATABASE_URL or MDC_DATABASE_URL_FILE"
        raise InvalidInput(Problem("environment", "MDC_DATABASE_URL", "names no mail database", remedy))
    if not file.is_file():
        raise InvalidInput(Problem("environment", "MDC_DATABASE_URL_FILE", "names no file", "name a file with the URL"))
    return lambda: _read(file)


def messages_key(settings: Settings) -> Callable[[], str]:
    """How the key of the provisioning endpoint is read for each request.

    Raises `InvalidInput` when no file is named, and what it returns `SecretMissing` while the file holds no usable key.
    """
    file = settings.messages_key_file
    if file is None:
        remedy = "name a file that holds the key"
        raise InvalidInput(
            Problem("environment", "MDC_MESSAGES_KEY_FILE", "is not set beside MDC_MESSAGES_URL", remedy)
        )
    return lambda: _key(file)


def _key(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not (text and text.isprintable()):
        raise SecretMissing("the file that MDC_MESSAGES_KEY_FILE names holds no usable key: write one line of ASCII")
    return text


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise DatabaseUnavailable("the file that MDC_DATABASE_URL_FILE names can't be read") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else ""
    return name if name.isupper() else f"MDC_{name.upper()}"
