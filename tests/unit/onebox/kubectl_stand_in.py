"""A kubectl for tests: its proxy is a real HTTP server that behaves as the API server's, in front of real services.

Run as a program by the script that `installed` writes. What it answers stands in a file, `World`, which a test writes.
"""

import http.client
import json
import os
import re
import socketserver
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

WORLD = "KUBECTL_STAND_IN"
SERVICE = re.compile(
    r"/api/v1/namespaces/(?P<space>[^/]+)/services/http:(?P<name>[^:/]+):(?P<port>\d+)/proxy(?P<rest>/.*)"
)
SERVICES = re.compile(r"/api/v1/(namespaces/(?P<space>[^/]+)/)?services")
RESOURCES = re.compile(r"/apis/sagaplane.io/v1alpha1/namespaces/(?P<space>[^/]+)/ordersagas(/(?P<name>[^/]+))?")
HOP_BY_HOP = ("connection", "keep-alive", "te", "transfer-encoding", "upgrade", "authorization", "host")

SCRIPT = """#!/bin/sh
case "$*" in
*--context=nosuch*) echo 'error: context "nosuch" does not exist' >&2; exit 1 ;;
*'config view'*) printf %s '{namespace}'; exit ;;
esac
exec '{python}' -S '{program}' "$@"
"""

Body = dict[str, Any]


def installed(directory: Path, world: Mapping[str, Any]) -> dict[str, str]:
    """Write the script and the world, and return the variables by which a program finds them."""
    binaries = directory / "bin"
    binaries.mkdir(exist_ok=True)
    script = binaries / "kubectl"
    script.write_text(SCRIPT.format(namespace=world.get("namespace", "shop"), python=sys.executable, program=__file__))
    script.chmod(0o755)
    (directory / "world.json").write_text(json.dumps(world))
    return {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", WORLD: str(directory / "world.json")}


def service(name: str, release: str, component: str, port: int = 3002, namespace: str = "shop") -> Body:
    """Return a Service as the chart makes it."""
    labels = {
        "app.kubernetes.io/part-of": "sagaplane",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/component": component,
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"ports": [{"name": "http", "port": port}]}}


def resource(name: str, status: Mapping[str, Any], spec: Mapping[str, Any] | None = None) -> Body:
    """Return an OrderSaga."""
    return {"metadata": {"name": name}, "spec": spec or {"order": {}}, "status": status}


class World:
    """What there is: services and where they are, resources by namespace, and what is refused."""

    def __init__(self, text: str) -> None:
        told = json.loads(text)
        self.services: list[Body] = told.get("services", [])
        self.targets: dict[str, Any] = told.get("targets", {})
        self.resources: dict[str, list[Body]] = told.get("resources", {})
        self.refusals: dict[str, list[Any]] = told.get("refusals", {})
        self.said: str | None = told.get("said")


class ApiServer(BaseHTTPRequestHandler):
    """Answers as the API server does behind `kubectl proxy`."""

    protocol_version = "HTTP/1.1"
    world: World

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the method, it is answered alike
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        for prefix, (code, kind, text) in self.world.refusals.items():
            if path.startswith(prefix):
                return self._say(code, text.encode(), kind)
        if found := SERVICE.fullmatch(path):
            return self._pass_on(found["space"], found["name"], self.path.partition("/proxy")[2])
        if found := SERVICES.fullmatch(path):
            return self._list_services(found["space"])
        if found := RESOURCES.fullmatch(path):
            return self._one(found["space"], found["name"]) if found["name"] else self._table(found["space"])
        return self._say(404, b"404 page not found\n", "text/plain; charset=utf-8")

    def _pass_on(self, space: str, name: str, rest: str) -> None:
        if name not in {
            each["metadata"]["name"] for each in self.world.services if each["metadata"]["namespace"] == space
        }:
            return self._status(404, f'services "{name}" not found')
        target = self.world.targets.get(f"{space}/{name}")
        if target is None:
            return self._status(503, f'no endpoints available for service "{name}"')
        connection = http.client.HTTPConnection("127.0.0.1", target, timeout=30)
        length = int(self.headers.get("Content-Length", "0"))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            connection.request(self.command, rest, self.rfile.read(length), headers)
            answer = connection.getresponse()
            return self._say(answer.status, answer.read(), answer.headers["Content-Type"])
        except ConnectionRefusedError:
            why = f"dial tcp 10.0.0.7:{target}: connect: connection refused"
            return self._status(503, f"error trying to reach service: {why}")
        finally:
            connection.close()

    def _list_services(self, space: str | None) -> None:
        label, _, value = parse_qs(urlsplit(self.path).query)["labelSelector"][0].partition("=")
        found = [
            each
            for each in self.world.services
            if space in (None, each["metadata"]["namespace"]) and each["metadata"]["labels"].get(label) == value
        ]
        self._json({"kind": "ServiceList", "items": found})

    def _one(self, space: str, name: str) -> None:
        for each in self.world.resources.get(space, []):
            if each["metadata"]["name"] == name:
                return self._json(each)
        return self._status(404, f'ordersagas.sagaplane.io "{name}" not found')

    def _table(self, space: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        assert "as=Table" in self.headers["Accept"]
        first, limit = int(query.get("continue", ["0"])[0]), min(int(query["limit"][0]), 2)
        every = self.world.resources.get(space, [])
        rows = [
            {
                "cells": [each["metadata"]["name"], each["status"].get("phase"), each["status"].get("sagaId")],
                "object": None,
            }
            for each in every[first : first + limit]
        ]
        heads = [{"name": name, "type": "string"} for name in ("Name", "Phase", "Saga")]
        more = {"continue": str(first + limit)} if first + limit < len(every) else {}
        self._json({"kind": "Table", "metadata": more, "columnDefinitions": heads, "rows": rows})

    def _status(self, code: int, message: str) -> None:
        self._json({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}, code)

    def _json(self, body: Body, code: int = 200) -> None:
        self._say(code, json.dumps(body).encode(), "application/json")

    def _say(self, code: int, content: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    # Run without site-packages, the program has no `override`.
    def address_string(self) -> str:  # type: ignore[explicit-override]
        return "somebody at the socket"

    def log_message(self, *_: object) -> None:  # type: ignore[explicit-override]
        return


class AtSocket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(words: list[str]) -> int:
    file = Path(os.environ[WORLD])
    world = World(file.read_text())
    if world.said is not None:
        sys.stderr.write(world.said)
        return 1
    (socket,) = (word.partition("=")[2] for word in words if word.startswith("--unix-socket="))
    ApiServer.world = world
    with AtSocket(socket, ApiServer) as server:
        file.with_name("proxy.json").write_text(json.dumps({"pid": os.getpid(), "words": words, "socket": socket}))
        sys.stdout.write(f"Starting to serve on {socket}\n")
        sys.stdout.flush()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
