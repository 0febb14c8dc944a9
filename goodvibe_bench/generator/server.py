"""Where an OpenAI-compatible server is, and how it is asked. It asks nothing, and no client is imported in here."""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import Field, field_serializer, field_validator

from goodvibe_bench import catalog
from goodvibe_bench.types import Model, Noun


class Server(Noun):
    """An address that may hold secrets; it is written without them, whatever writes it."""

    base_url: str = Field(repr=False)
    """Such as http://localhost:8000/v1; a user name, a password and a query are sent, never recorded."""
    concurrency: int = Field(default=16, ge=1)
    """Requests under way at once."""
    timeout_seconds: float = Field(default=300.0, gt=0)
    """What one try of a request has; all tries of it, and the waits between them, have six times as long."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, text: str) -> str:
        if not _is_web_address(text):
            raise ValueError("no address of a server, such as http://localhost:8000/v1")
        return text

    @field_serializer("base_url")
    def _without_secrets(self, _: str) -> str:
        return self.public_url

    @property
    def public_url(self) -> str:
        """The address without user, password, query, fragment and a slash at its end."""
        parts = self._parts
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")).geturl()

    @property
    def client_url(self) -> str:
        """The address with user and password, without its query."""
        return self._parts.geturl()

    @property
    def query(self) -> dict[str, Any]:
        """What stands behind the address's question mark, to be sent with every request."""
        return dict(parse_qsl(urlsplit(self.base_url).query, keep_blank_values=True))

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.base_url)._replace(query="", fragment="")

    def describe(self, model: str) -> Model:
        """Return the noun of a served model. Its weights are not known: the digest is of the address and the name."""
        return Model(id=model, digest=catalog.digest([self.public_url, model]))


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0  # reading a port that is none raises
    except ValueError:
        return False
    return named and parts.scheme in {"http", "https"} and text.isprintable() and " " not in text
