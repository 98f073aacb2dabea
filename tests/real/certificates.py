"""Certificates of a test's own authority, made by openssl 3 and valid for two days."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs. Whoever trusts its certificate trusts what it signed."""

    own: Certificate

    @classmethod
    def create(cls, directory: Path, name: str) -> Self:
        return cls(_request(directory, name, ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]))

    def server(self, *names: str) -> Certificate:
        """Sign a server that is reached under these names, such as `DNS:localhost` and `IP:127.0.0.1`."""
        return self._sign("server", [f"subjectAltName={','.join(names)}", "extendedKeyUsage=serverAuth"])

    def client(self, name: str) -> Certificate:
        """Sign a client whose common name this is."""
        return self._sign(name, ["extendedKeyUsage=clientAuth"])

    def _sign(self, name: str, extensions: list[str]) -> Certificate:
        signer = ["-CA", str(self.own.certificate), "-CAkey", str(self.own.key)]
        extensions = ["basicConstraints=critical,CA:FALSE", *extensions]
        added = [argument for extension in extensions for argument in ("-addext", extension)]
        return _request(self.own.certificate.parent, name, [*signer, *added])


def _request(directory: Path, name: str, more: list[str]) -> Certificate:
    made = Certificate(directory / f"{name}.crt", directory / f"{name}.key")
    files = ["-out", str(made.certificate), "-keyout", str(made.key)]
    command = ["openssl", "req", "-x509", "-days", "2", "-subj", f"/CN={name}", *KEY, *files, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl made no certificate for {name}: {done.stderr}"
    return made
