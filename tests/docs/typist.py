"""Types the commands of a page: covey's in this process, what serves until the page ends, the rest in a shell."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass
from programs import program
from waiting import wait_until

import covey.v1

from .reading import PROJECT, Command, blocks

PROGRAMS = Path(sysconfig.get_path("scripts"))
SERVING = re.compile(r"covey[ -](serve|server|controller|dashboard)\b")
ANY = "127.0.0.1:0"
# A doctor may say what is wrong: no controller is here. A question that finds nothing is one.
MAY_SAY_NO = re.compile(r"covey doctor|.*\| grep [^|]*$", re.DOTALL)

Run = Callable[[list[str]], int]


class Typist:
    """Somebody at a terminal.

    Args:
        directory: where they are; it looks like a clone, and holds what the pages say is in /etc and /var.
        run: runs a command of covey in this process; the exit status.
        monkeypatch: for the environment.
        places: of a server that runs already: data, control, metrics, controller as HOST:PORT.
    """

    def __init__(
        self, directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch, places: dict[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.places = {"data": ANY, "control": ANY, "metrics": ANY, "controller": ANY}
        self.speaks_tls = False
        self._run = run
        self._monkeypatch = monkeypatch
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("examples", "docs", "services"):
            if not (directory / name).exists():
                (directory / name).symlink_to(PROJECT / name)
        monkeypatch.chdir(directory)
        path = [str(PROGRAMS), str(PROJECT / ".cache" / "bin"), os.environ["PATH"], "/usr/sbin"]
        for name, value in (("PATH", os.pathsep.join(path)), ("HOME", str(directory)), ("COLUMNS", "80")):
            monkeypatch.setenv(name, value)
        self.move(places or {})

    def move(self, places: dict[str, str]) -> None:
        """From now on that server is meant."""
        self.places |= places
        self._monkeypatch.setenv("COVEY_DATA", self.places["data"])
        self._monkeypatch.setenv("COVEY_CONTROL", self.places["control"])

    def here(self, line: str) -> str:
        """A line of a page with the places of this directory and this server in it."""
        host = "localhost" if self.speaks_tls else r"127.0.0.1"
        ports = {name: place.rpartition(":")[2] for name, place in self.places.items()}
        some_host = r"(?:covey[\w.-]*example|localhost|127\.0\.0\.1)"
        scheme = "https" if self.speaks_tls else "http"
        tokens = self.directory / "tokens.json"
        known = json.loads(tokens.read_text())["credentials"][0]["id"] if tokens.exists() else ""
        for place, mine in (
            (rf"https?://{some_host}:9464", f"{scheme}://{host}:{ports['metrics']}"),
            (rf"{some_host}:50052", f"{host}:{ports['control']}"),
            (rf"{some_host}:50051", f"{host}:{ports['data']}"),
            (rf"{some_host}:9465", f"{host}:{ports['controller']}"),
            *(() if self.speaks_tls else ((r" --cacert ca\.pem", ""), (r" -cacert ca\.pem", " -plaintext"))),
            (r"/var/lib/covey", str(self.directory / "data")),
            (r"/backups/monday", str(self.directory / "monday")),
            (r"/etc/covey/", f"{self.directory}/"),
            (r"\.\./shared/data/", f"{PROJECT.parent / 'shared' / 'data'}/"),
            (r"^(sudo -u covey )?/opt/covey/bin/", ""),
            (r" -o covey ", " "),
            (r"5f0c2a91", known),
            # The sizes of the pages are for machines that have nothing else to do.
            (r"--learners 10000000", "--learners 2000"),
        ):
            line = re.sub(place, mine, line)
        return line

    def type(self, command: Command) -> None:
        """Run a command and see that it does.

        Raises:
            AssertionError: it does not.
        """
        if SERVING.match(command.bare):
            self._serve(command)
            return
        line = self.here(command.bare)
        if line.startswith("covey rollout watch"):
            self._watch(line, command)
        elif line.startswith("covey ") and not re.search(r"[|<>;$~&]", line):
            code = self._run(shlex.split(line)[1:])
            assert code in ({0, 1} if MAY_SAY_NO.match(line) else {0}), f"{command}: exit status {code}"
        else:
            self._shell(line, command)

    def close(self) -> None:
        """End what serves, as Ctrl-C would.

        Raises:
            AssertionError: something did not end in order.
        """
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        try:
            assert [process.wait(timeout=60) for process in self._processes] == [0] * len(self._processes)
        finally:
            for process in self._processes:
                process.kill()
                process.wait(timeout=30)

    def _shell(self, line: str, command: Command) -> None:
        if line.startswith("grpcurl ") and shutil.which("grpcurl") is None:
            # It is built where Go is; elsewhere the contract says at least whether it would be understood.
            understood(line)
            return
        for tool in ("promtool", "curl", "openssl"):
            if re.match(rf"(\(umask 077; )?{tool}\b", line):
                program(tool, *(["prometheus"] if tool == "promtool" else []))
        token = self.directory / ".covey-token"
        environment = os.environ | ({"COVEY_TOKEN": token.read_text().strip()} if "$COVEY_TOKEN" in line else {})
        # Of a pipe, its first part must do: a question to a page that is not there would find nothing either.
        typed = f'{line}\nstatus=("${{PIPESTATUS[@]}}")\n[ "${{status[0]}}" = 0 ] && exit "${{status[-1]}}"\nexit 99'
        done = subprocess.run(
            ["bash", "-c", typed if "|" in line else f"set -e\n{line}"],
            cwd=self.directory, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        codes = {0, 1} if MAY_SAY_NO.match(line) else {0}
        assert done.returncode in codes, f"{command}\n{line}\n{done.returncode}: {done.stdout}{done.stderr}"

    def _watch(self, line: str, command: Command) -> None:
        """It has no end of its own; a line that tells the state is enough."""
        with subprocess.Popen(shlex.split(line), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130, command
            assert re.match(r"\d{4}-\d\d-\d\d ", first), f"{command}: {first!r}"

    def _serve(self, command: Command) -> None:
        """Start it on free ports and wait until it is ready; a server is meant by what follows."""
        number = len(self._processes)
        ports, log = self.directory / f"ports-{number}.json", self.directory / f"serving-{number}.log"
        is_server = command.bare.startswith(("covey serve", "covey-server"))
        # Where it listens is free; whom it calls is here. Each server has data of its own.
        line = re.sub(r"(-?listen) (\S+):\d+", r"\1 \2:0", command.bare)
        line = self.here(line.replace("/var/lib/covey", f"/var/lib/covey-{number}") if is_server else line)
        free = {f"COVEY_SERVER_{name}": ANY for name in ("LISTEN", "CONTROL_LISTEN", "METRICS_LISTEN")}
        free |= {"COVEY_CONTROLLER_METRICS_LISTEN": ANY, "COVEY_CONTROLLER_CONTROL": self.places["control"]}
        free |= {"COVEY_DASHBOARD_LISTEN": ANY}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*shlex.split(line), "--ports-file", str(ports)],
                stdout=file, stderr=file, cwd=self.directory, env=os.environ | free,
            )  # fmt: skip
        self._processes.append(process)
        wait_until(lambda: ports.exists() or process.poll() is not None, 60)
        assert ports.exists(), f"{command}\n{line}\n{log.read_text()}"
        if is_server:
            self.speaks_tls = "--tls-cert" in line
            found = json.loads(ports.read_text())
            self.move({name: f"127.0.0.1:{found[name]}" for name in ("data", "control", "metrics")})


def understood(line: str) -> None:
    """See that what a line of grpcurl says is a request of the method that it names.

    Raises:
        AssertionError: it is not.
    """
    words = shlex.split(line)
    service, _, method = words[-1].partition("/")
    for module in iter_modules(covey.v1.__path__):
        if module.name.endswith("_pb2"):
            import_module(f"covey.v1.{module.name}")
    asked = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(method).input_type
    try:
        ParseDict(json.loads(words[words.index("-d") + 1] if "-d" in words else "{}"), GetMessageClass(asked)())
    except (ParseError, ValueError) as error:
        raise AssertionError(f"{line}: {error}") from error


def prepare(directory: Path, authority_file: Path, certificate: tuple[Path, Path], run: Run) -> None:
    """What the pages take for granted below /etc/covey and in the folder where one types."""
    shutil.copy(authority_file, directory / "ca.pem")
    for name in ("server", "dashboard", "new"):
        shutil.copy(certificate[0], directory / f"{name}.pem")
        shutil.copy(certificate[1], directory / f"{name}-key.pem")
    (configuration,) = blocks((PROJECT / "docs" / "configuration.md").read_text(), "toml")
    for place, mine in (("/var/lib/covey", str(directory / "configured")), ("/etc/covey/", f"{directory}/")):
        configuration = configuration.replace(place, mine)
    (directory / "covey.toml").write_text(configuration)
    for name, role in (("old", "viewer"), ("controller", "controller"), ("dashboard", "viewer")):
        token = subprocess.run(
            [str(PROGRAMS / "covey"), "token", "create", name, "--tokens", "tokens.json", "--role", role],
            cwd=directory, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip
        path = directory / f"{name}-token"
        path.write_text(token)
        path.chmod(0o600)
