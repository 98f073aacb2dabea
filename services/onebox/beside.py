"""A server beside the shop, asked over HTTP: what it answers, or a line that says what to do. It is only read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from onebox.client import http_client, short, silent
from onebox.errors import NotFound, Unreachable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beside:
    """One such server: its name, where it is, which variable says so, and how it is had."""

    name: str
    url: str
    variable: str
    remedy: str
    timeout_seconds: float

    async def get(self, path: str, into: type[T], query: Mapping[str, str | int] | None = None) -> T:
        """Return what it answers.

        Raises:
            NotFound: when there is no such thing.
            Unreachable: when it does not answer, or answers what nobody can read.
        """
        response = await self._response(path, query)
        try:
            answer = msgspec.json.decode(response.content, type=into)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            why = short(str(error)) if response.is_success else _status(response)
            raise self._strange(why) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"{self.name} at {self.url} knows nothing of it", self.remedy)
        if not response.is_success:
            raise self._strange(_status(response))
        return answer

    async def _response(self, path: str, query: Mapping[str, str | int] | None) -> httpx.Response:
        try:
            async with http_client(self.url, self.timeout_seconds) as client:
                return await client.get(path, params=query)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            remedy = f"{self.remedy}, or set {self.variable} to where it is"
            raise silent(f"{self.name} at {self.url}", error, self.timeout_seconds, remedy) from None

    def _strange(self, what: str) -> Unreachable:
        cause = f"{self.name} at {self.url} answered what sagactl cannot read: {what}"
        return Unreachable(cause, f"check that {self.variable} is its address")


def _status(response: httpx.Response) -> str:
    return f"status {response.status_code} and {short(response.text)!r}"
