"""What `make kind-up` brings beside the shop to see it with: Jaeger and Prometheus, asked through the API server."""

from dataclasses import dataclass

from tests.e2e.release import Release
from tests.observability.prometheus import Measurements
from tests.real.seeing.jaeger import Traces
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class JaegerInside(Traces):
    """The Jaeger in the namespace of the release."""

    release: Release

    @property
    @override
    def address(self) -> str:
        return self.release.url_of("jaeger", 16_686)


@dataclass(frozen=True, slots=True)
class PrometheusInside(Measurements):
    """The Prometheus in the namespace of the release."""

    release: Release

    @property
    @override
    def address(self) -> str:
        return self.release.url_of("prometheus", 9090)
