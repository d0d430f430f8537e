"""Masks that regions share in pairs and that add to nothing over all of them: secure aggregation of integers.

After Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning (CCS 2017), without their
recovery of members that drop out: a region that is lost ends the run, which is begun again without it. Each pair of
regions agrees on a key by X25519 and HKDF-SHA256; ChaCha20 stretches it to a stream for each question. Of a pair the
region whose name is smaller adds the stream, the other one subtracts it, modulo 2^64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from covey.errors import InputError

_KEY_BYTES = 32
_WORD_BYTES = 8


class Keyring:
    """The keys of one region for one run. Made anew for each run, and never written anywhere.

    Args:
        region: its name.
        run: what is masked, so that no two runs share a stream.
        private_key: 32 bytes; random by default.

    Attributes:
        public_key: 32 bytes, for the other regions.
    """

    def __init__(self, region: str, run: str, private_key: bytes | None = None) -> None:
        self._region = region
        self._run = run
        self._private = (
            X25519PrivateKey.generate() if private_key is None else X25519PrivateKey.from_private_bytes(private_key)
        )
        self.public_key = self._private.public_key().public_bytes_raw()
        self._pairs: dict[str, bytes] = {}

    def join(self, public_keys: Mapping[str, bytes]) -> None:
        """Agree with every other region.

        Args:
            public_keys: of all regions, this one too, by name.

        Raises:
            InputError: this region's key is another one, a key is none, or two regions have the same.
        """
        if public_keys.get(self._region) != self.public_key:
            raise InputError(f"the key of {self._region} is not the one it gave", remedy="open the run again")
        if len(set(public_keys.values())) < len(public_keys):
            raise InputError("two regions have the same key", remedy="open the run again in each region")
        pairs = {}
        for other in sorted(public_keys.keys() - {self._region}):
            try:
                shared = self._private.exchange(X25519PublicKey.from_public_bytes(public_keys[other]))
            except ValueError as error:
                raise InputError(f"the key of {other} is no key", expected="32 bytes of X25519") from error
            names = "\0".join(sorted((self._region, other)))
            pairs[other] = HKDF(SHA256(), _KEY_BYTES, None, f"covey {self._run}\0{names}".encode()).derive(shared)
        self._pairs = pairs

    @property
    def others(self) -> tuple[str, ...]:
        """The regions that a key is shared with, by name."""
        return tuple(self._pairs)

    def masked(self, numbers: NDArray[np.int64], question: int) -> NDArray[np.uint64]:
        """The numbers under the masks of one question, modulo 2^64.

        Args:
            numbers: int64, shape (n,).
            question: its number in the run; a second answer under the same number would betray the difference of both.
        """
        total = np.ascontiguousarray(numbers, dtype=np.int64).view(np.uint64).copy()
        for other, key in self._pairs.items():
            stream = _stream(key, question, len(total))
            if self._region < other:
                total += stream
            else:
                total -= stream
        return total


def unmasked(answers: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """The total of the answers of all regions, in which the masks are gone.

    Raises:
        InputError: the answers are of several lengths.
    """
    if len({len(answer) for answer in answers}) != 1:
        raise InputError("regions answered with different amounts of numbers", remedy="do all run the same version?")
    total = np.zeros(len(answers[0]), np.uint64)
    for answer in answers:
        total += answer
    return total.view(np.int64)


def _stream(key: bytes, question: int, count: int) -> NDArray[np.uint64]:
    # 4 bytes of a block counter, from 0, then 12 of the nonce: the number of the question.
    nonce = bytes(4) + question.to_bytes(12, "little")
    stream = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(_WORD_BYTES * count))
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)
