"""A federation over mutual TLS: certificates say who asks, and the wire tells not even what is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server.access.known import TokensFile
from typer.testing import CliRunner

from covey.access.certificates import CertificateFiles
from covey.access.principals import Role
from covey.cli import app
from covey.client import CallFailed, Client, Security
from covey.federation import discover_without_learners
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TRAIT_NAMES
from covey.parts import LocalPart

from .three_regions import AS_OF_US, NAMES, PATIENCE_SECONDS, SEED, K, Regions
from .wiretap import Wiretap


@pytest.fixture
def regions(tmp_path: Path, authority: Any) -> Iterator[Regions]:
    """Each with a certificate of its own, asking for one of every caller."""
    made = Regions(tmp_path)
    tokens = TokensFile(tmp_path / "tokens.json")
    tokens.add("coordinator", {Role.OPERATOR}, certificate="coordinator.internal")
    tokens.add("reader", {Role.VIEWER}, certificate="reader.internal")
    tls = CertificateFiles(*authority.issue("server"), client_authority=authority.file)
    made.again(tls=tls, tokens=tokens.path)
    yield made
    made.stop()


def typed(verb: str, addresses: dict[str, str], authority: Any, who: str, *more: str) -> Any:
    """`covey federate VERB` with the certificate of `who`; "" for none."""
    words = ["federate", verb, "--cacert", str(authority.file), "--as", "ada"]
    if who:
        cert, key = authority.issue(who, f"{who}.internal")
        words += ["--cert", str(cert), "--key", str(key)]
    for name, address in addresses.items():
        words += ["--region", f"{name}={address}"]
    return CliRunner().invoke(app, [*words, *more])


def test_the_bits_of_one_process_from_whom_the_certificate_names(regions: Regions, authority: Any) -> None:
    discovery = ["--dataset", "pupils", "--as-of", np.datetime64(AS_OF_US, "us").astype(str) + "Z"]
    discovery += ["-k", str(K), "--seed", str(SEED), "--attempts", "1"]
    patient = ["--timeout", f"{PATIENCE_SECONDS}s"]
    with ExitStack() as stack:
        taps = {name: stack.enter_context(Wiretap(regions.servers[name].data_port)) for name in NAMES}
        addresses = {name: tap.address for name, tap in taps.items()}
        more = [*discovery, *patient, "--save-as", "world", "--output", "json"]
        done = typed("discover", addresses, authority, "coordinator", *more)
        assert done.exit_code == 0, (done.output, done.exception)
        crossed = {name: tap.everything() for name, tap in taps.items()}
    for name, data in crossed.items():
        assert len(data) > 10_000, f"the tap sees what crosses to {name}"
        assert b"FederationService" not in data and b"covey.v1" not in data, "what test_regions.py finds in plaintext"
        assert not [each for each in regions.ids if each.encode() in data]

    traits = regions.events.traits(AS_OF_US)
    whole = LocalPart(traits.matrix, traits.learner_ids.hashes(), DEFAULT_TRAIT_WEIGHTS)
    expected = discover_without_learners(lambda question: [whole.answer(question)], K, SEED, attempts=1)
    direct = {name: f"127.0.0.1:{server.data_port}" for name, server in regions.servers.items()}
    cert, key = authority.issue("coordinator", "coordinator.internal")
    security = Security(cacert=authority.file, cert=cert, key=key)
    with Client(data=direct["asia"], security=security, timeout_seconds=PATIENCE_SECONDS) as client:
        kept = client.get_cohort_model("cohortModels/world")
    for cohort, row, centroid in zip(kept.cohorts, expected.cohorts, expected.centroids.tolist(), strict=True):
        assert cohort.learner_count == row.size
        assert [getattr(cohort.centroid, name) for name in TRAIT_NAMES] == centroid

    # The certificate counts, and not what the caller calls itself.
    told = typed("audit", direct, authority, "reader", "--output", "json")
    assert told.exit_code == 0, (told.output, told.exception)
    answers = json.loads(told.output)
    assert {answer["region"] for answer in answers} == set(NAMES)
    assert {answer["actor"] for answer in answers} == {"coordinator"}

    # Nobody else coordinates: not who may only read, not a stranger, not who speaks plaintext.
    hasty = ["--timeout", "2s"]  # a handshake that is refused is tried again until then
    for who, word, wait in (
        ("reader", "operator", patient),
        ("stranger", "certificate", patient),
        ("", "region africa", hasty),
    ):
        refused = typed("discover", direct, authority, who, *discovery, *wait)
        assert refused.exit_code == 1, who
        assert word in str(refused.exception).lower(), (who, refused.exception)
    with Client(data=direct["africa"], timeout_seconds=1.0) as plain, pytest.raises(CallFailed):
        plain.get_server_info()
