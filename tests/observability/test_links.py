"""A demonstration ends by saying where to look: at a trace, and at dashboards."""

from pathlib import Path

import pytest
from tests.charts.rendering import ROOT
from tests.observability.programs import programs, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SHOP = f"""#!/bin/sh
case "$*" in
*"get service grafana") [ -n "$GRAFANA" ] ;;
*"ordersaga order-confirmed "*.phase* | *"ordersaga order-orchestrated "*.phase*) echo Completed ;;
*"ordersaga order-suspended "*.phase*) echo Pending ;;
*.status.phase*) echo Compensated ;;
*.status.traceId*) echo {TRACE} ;;
esac
"""
"""A kubectl that has the six samples in the states that they come to."""


@pytest.mark.parametrize("asked", ["", "1"])
def test_the_demonstration_on_kind_ends_with_a_trace_and_the_dashboards_that_there_are(
    asked: str, tmp_path: Path
) -> None:
    kind = "#!/bin/sh\necho testbed\n"
    environment = {**programs(tmp_path, kubectl=SHOP, kind=kind), "KIND_CLUSTER": "testbed", "GRAFANA": asked}
    said = run("bash", ROOT / "k8s/kind-demo.sh", environment=environment)
    assert f"http://127.0.0.1:16686/trace/{TRACE}" in said
    assert "http://127.0.0.1:3005/" in said
    assert ("http://127.0.0.1:3000/d/sagaplane-overview" in said) is bool(asked)


def test_the_demonstration_in_compose_opens_traces_where_its_jaeger_is(tmp_path: Path) -> None:
    silent = "#!/bin/sh\n"
    sagactl = "#!/bin/sh\necho $SAGACTL_JAEGER_URL\n"
    environment = {**programs(tmp_path, docker=silent, sagactl=sagactl), "JAEGER_PORT": "26686"}
    said = run(
        "make",
        f"--directory={ROOT}",
        f"BIN={tmp_path}",
        f"INSTALLED={tmp_path / 'sagactl'}",
        "compose-demo",
        environment=environment,
    )
    assert "http://127.0.0.1:26686" in said.splitlines()
