"""Every decoder on its corpus and on seeded mutations of it; what `make fuzz` found once stays in the corpus."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .decoders import DECODERS

CORPUS = Path(__file__).with_name("corpus")
MUTATIONS = 150
_SPECIAL = (
    b"\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"nan",
    b"-1",
    b"1e999",
    b"\xc3\x28",
    b"{",
    b'"',
    b",",
    b"\n",
)


def seeds(name: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert found, f"no corpus for {name}"
    return found


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A few bytes flipped, cut, doubled, moved or put in."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.randint(1, 16))
        kind = chance.randrange(5)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[place:end]
        elif kind == 2:
            data[place:place] = data[place:end]
        elif kind == 3:
            data[place:place] = chance.choice(_SPECIAL)
        else:
            other = chance.randrange(len(data) + 1)
            data[other:other] = data[place:end]
    return bytes(data)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_refuses_or_understands(name: str) -> None:
    decoder, chance = DECODERS[name], random.Random(name)
    known = seeds(name)
    for seed in known:
        decoder(seed)
    for number in range(MUTATIONS):
        data = mutated(known[number % len(known)], chance)
        try:
            decoder(data)
        except Exception as error:
            error.add_note(f"input: {data!r}")
            raise


def test_every_corpus_has_a_decoder() -> None:
    compiled = {path.stem.removeprefix("fuzz_") for path in Path("cpp/fuzz").glob("fuzz_*.cpp")}
    assert {path.name for path in CORPUS.iterdir()} == compiled | set(DECODERS)


def test_a_decoder_that_breaks_is_found() -> None:
    def careless(data: bytes) -> None:
        data.decode("ascii")

    chance = random.Random(0)
    with pytest.raises(UnicodeDecodeError):
        for _ in range(MUTATIONS):
            careless(mutated(b"plain text", chance))
