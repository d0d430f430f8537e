"""The manifests, read: no cluster is here to run them. What they configure is checked by covey itself."""

from __future__ import annotations

import re
import ssl
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from covey.cli import main
from covey_dashboard.config import parse_arguments
from covey_dashboard.dashboard import Dashboard

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "services" / "deployment" / "kubernetes"
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


class Strict(yaml.SafeLoader):
    """YAML in which a key that stands there twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key twice at {node.start_mark}"
        return super().construct_mapping(node, deep=deep)


OBJECTS = [made for path in sorted(FOLDER.glob("*.yaml")) for made in yaml.load_all(path.read_text(), Strict)]
WORKLOADS = [made for made in OBJECTS if made["kind"] in {"StatefulSet", "Deployment"}]


def named(kind: str, name: str) -> Any:
    (found,) = [made for made in OBJECTS if (made["kind"], made["metadata"]["name"]) == (kind, name)]
    return found


def pod(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]


def container(workload: Any) -> Any:
    (only,) = pod(workload)["containers"]
    return only


@pytest.fixture(params=WORKLOADS, ids=lambda workload: workload["metadata"]["name"])
def workload(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_every_object_says_what_it_is() -> None:
    versions = {
        "ConfigMap": "v1", "Service": "v1", "StatefulSet": "apps/v1", "Deployment": "apps/v1",
        "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1",
    }  # fmt: skip
    for made in OBJECTS:
        assert made["apiVersion"] == versions[made["kind"]]
        assert made["metadata"]["namespace"] == "covey"
    names = [(made["kind"], made["metadata"]["name"]) for made in OBJECTS]
    assert len(set(names)) == len(names)


def selectors(made: Any) -> Any:
    if made["kind"] == "Service":
        return made["spec"]["selector"]
    if made["kind"] == "NetworkPolicy":
        return made["spec"]["podSelector"]["matchLabels"]
    return made["spec"]["selector"]["matchLabels"]


def test_every_selector_finds_pods() -> None:
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS]
    for made in OBJECTS:
        if made["kind"] != "ConfigMap":
            assert sum(selectors(made).items() <= one.items() for one in labels) == 1, made["metadata"]["name"]


def test_pods_are_confined(workload: Any) -> None:
    spec, inside = pod(workload), container(workload)["securityContext"]
    outside = spec["securityContext"]
    assert outside["runAsNonRoot"] is True
    assert outside["runAsUser"] == outside["runAsGroup"] == outside["fsGroup"] == 10001
    assert outside["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inside == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert "memory" in container(workload)["resources"]["limits"]


def test_ports_that_are_named_are_there(workload: Any) -> None:
    ports = {port["name"] for port in container(workload)["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container(workload)[probe]
        assert (asked.get("httpGet") or asked.get("tcpSocket"))["port"] in ports
    for made in OBJECTS:
        mine = selectors(made).items() <= workload["spec"]["template"]["metadata"]["labels"].items() if (
            made["kind"] in {"Service", "NetworkPolicy"}) else False  # fmt: skip
        if mine and made["kind"] == "Service":
            assert {port["targetPort"] for port in made["spec"]["ports"]} <= ports
        elif mine:
            assert {port["port"] for rule in made["spec"]["ingress"] for port in rule["ports"]} <= ports


def test_what_is_mounted_is_there(workload: Any) -> None:
    volumes = {volume["name"] for volume in pod(workload)["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())}
    mounts = container(workload)["volumeMounts"]
    assert {mount["name"] for mount in mounts} == volumes
    for mount in mounts:
        if "subPath" in mount:
            assert mount["subPath"] in named("ConfigMap", "covey")["data"]


def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "covey.toml"
    file.write_text(named("ConfigMap", "covey")["data"]["covey.toml"])
    return file


def test_covey_takes_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", "check", "--config", str(configuration(tmp_path))])
    assert ended.value.code == 0
    assert capsys.readouterr().out.count("all good") == 3


def test_the_configuration_and_the_manifests_speak_of_the_same(tmp_path: Path) -> None:
    told = tomllib.loads(configuration(tmp_path).read_text())
    server, controller = named("StatefulSet", "covey-server"), named("Deployment", "covey-controller")
    ports = {port["name"]: port["containerPort"] for port in container(server)["ports"]}
    for key, name in (("listen", "data"), ("control_listen", "control"), ("metrics_listen", "metrics")):
        assert told["server"][key] == f"0.0.0.0:{ports[name]}"
    (pages,) = container(named("Deployment", "covey-dashboard"))["ports"]
    assert told["dashboard"]["listen"] == f"0.0.0.0:{pages['containerPort']}"
    (metrics,) = container(controller)["ports"]
    assert told["controller"]["metrics_listen"] == f"0.0.0.0:{metrics['containerPort']}"
    assert len(told["controller"]["replica"]) == server["spec"]["replicas"]
    for number, text in enumerate(told["controller"]["replica"]):
        host = f"covey-server-{number}.{server['spec']['serviceName']}.covey.svc"
        assert text == f"data={host}:{ports['data']},metrics=https://{host}:{ports['metrics']}/metrics"
    mounts = {mount["mountPath"] for mount in container(server)["volumeMounts"]}
    assert told["server"]["data_directory"] in mounts
    for key in ("tokens", "tls_cert", "tls_key"):
        assert str(Path(told["server"][key]).parent) in mounts


def test_the_dashboard_answers_its_probes_and_holds_no_more_than_a_viewers_token(
    tmp_path: Path, authority: Any
) -> None:
    """As configured, but for the places of its files and a free port."""
    workload = named("Deployment", "covey-dashboard")
    text = configuration(tmp_path).read_text()
    certificate, key = authority.issue("dashboard", "covey.example", "localhost")
    (tmp_path / "token").write_text("covey_x\n")
    for told, here in (
        ("/etc/covey/tls/tls.crt", certificate), ("/etc/covey/tls/tls.key", key),
        ("/etc/covey/access/ca.pem", authority.file), ("/etc/covey/access/dashboard-token", tmp_path / "token"),
        ("0.0.0.0:8443", "127.0.0.1:0"),
    ):  # fmt: skip
        text = text.replace(told, str(here))
    (tmp_path / "covey.toml").write_text(text)
    dashboard = Dashboard(parse_arguments(["--config", str(tmp_path / "covey.toml")], {}))
    try:
        trusted = ssl.create_default_context(cafile=authority.file)
        # A kubelet checks no certificate and calls a pod by its address.
        with httpx.Client(base_url=dashboard.url, verify=False) as kubelet:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container(workload)[probe]["httpGet"]
                headers = {header["name"]: header["value"] for header in asked["httpHeaders"]}
                assert kubelet.get(asked["path"], headers=headers).status_code == 200
            assert kubelet.get("/healthz", headers={"Host": "10.0.0.7:8443"}).status_code == 421, "the twin"
            assert kubelet.get("/healthz", headers={"Host": "covey.example"}).status_code == 200
        assert httpx.get(f"https://localhost:{dashboard.port}/login", verify=trusted).status_code == 200
    finally:
        dashboard.stop()
    (access,) = [volume["secret"] for volume in pod(workload)["volumes"] if volume["name"] == "access"]
    assert [item["key"] for item in access["items"]] == ["ca.pem", "dashboard-token"]


def test_a_drain_has_time(tmp_path: Path) -> None:
    """Until no Service sends here, then the drain's grace, then what is stored: all before the kill."""
    server = named("StatefulSet", "covey-server")
    (_, pause) = container(server)["lifecycle"]["preStop"]["exec"]["command"]
    grace = tomllib.loads(configuration(tmp_path).read_text())["server"]["drain_grace"]
    assert int(pause) + grace + 10 <= pod(server)["terminationGracePeriodSeconds"]
    ready = container(server)["readinessProbe"]
    assert ready["httpGet"]["path"] == "/healthz"
    assert "httpGet" not in container(server)["livenessProbe"], "a server that drains is not to be killed for it"


def test_disruptions_leave_somebody() -> None:
    for workload in WORKLOADS:
        if workload["metadata"]["name"] == "covey-dashboard":
            assert workload["spec"]["replicas"] == 1, "who is logged in is in its memory"
            continue
        assert named("PodDisruptionBudget", workload["metadata"]["name"])["spec"]["maxUnavailable"] < 2
        assert workload["spec"]["replicas"] >= 2


def test_nothing_is_open_to_everybody() -> None:
    guarded = [selectors(made) for made in OBJECTS if made["kind"] == "NetworkPolicy"]
    for workload in WORKLOADS:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert any(selector.items() <= labels.items() for selector in guarded)
    rules = [rule for made in OBJECTS if made["kind"] == "NetworkPolicy" for rule in made["spec"]["ingress"]]
    assert all(rule["from"] and rule["ports"] for rule in rules)


def test_secrets_are_not_among_the_manifests() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.yaml"))
    assert "kind: Secret" not in text
    assert not re.search(r"BEGIN [A-Z ]*PRIVATE", text)


def test_images_are_of_this_version() -> None:
    assert {container(workload)["image"] for workload in WORKLOADS} == {f"covey:{VERSION}"}
