"""What a router was told, as one number that only rises, and what it must be told next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_WEIGHT_BITS = 14
_CHANGE_BITS = 20
# All together 59 bits: at most 18 digits, which HAProxy can check by their number.
_EPOCH_BITS = 25
WEIGHT_MODULUS = 1 << _WEIGHT_BITS
"""A ticket modulo this is the weight in basis points."""


class StaleEpochError(Exception):
    """A router has been told something under a later epoch: whoever holds this one must stop."""


@dataclass(frozen=True, order=True)
class Setting:
    """A weight, and its place among all that a router was ever told: by epoch, then by change.

    Attributes:
        epoch: of the lease under which it was set; 0: never.
        change: counts what was set under one epoch.
        weight_bp: the candidate's weight, basis points.
    """

    epoch: int = 0
    change: int = 0
    weight_bp: int = 0

    @property
    def ticket(self) -> int:
        """All of it in 59 bits; a later setting has a greater ticket, whatever its weight."""
        return (self.epoch << _CHANGE_BITS | self.change) << _WEIGHT_BITS | self.weight_bp

    @classmethod
    def of_ticket(cls, ticket: int) -> Setting:
        """The setting that a ticket stands for.

        Raises:
            ValueError: none does.
        """
        rest, weight_bp = divmod(ticket, WEIGHT_MODULUS)
        epoch, change = divmod(rest, 1 << _CHANGE_BITS)
        if ticket < 0 or weight_bp > 10_000 or epoch >= 1 << _EPOCH_BITS:
            raise ValueError(f"{ticket} is no ticket")
        return cls(epoch, change, weight_bp)


def next_setting(shown: Setting, epoch: int, weight_bp: int) -> Setting | None:
    """What a router must be told so that it gives the candidate this weight.

    Args:
        shown: what it shows now.
        epoch: of the lease in force.
        weight_bp: by the journal.

    Returns:
        The setting; None where it shows that weight under that epoch already.

    Raises:
        StaleEpochError: it was told something under a later epoch.
        ValueError: an epoch or a weight that no ticket can carry.
    """
    if not 0 < epoch < 1 << _EPOCH_BITS or not 0 <= weight_bp <= 10_000:
        raise ValueError(f"epoch {epoch} with {weight_bp} bp fits no ticket")
    if shown.epoch > epoch:
        raise StaleEpochError(f"it was set under epoch {shown.epoch}, this is {epoch}")
    if shown.epoch < epoch:
        return Setting(epoch, 0, weight_bp)
    if shown.weight_bp == weight_bp:
        return None
    if shown.change + 1 >= 1 << _CHANGE_BITS:
        raise ValueError(f"epoch {epoch} has set the weight {shown.change:,} times; start the controller anew")
    return Setting(epoch, shown.change + 1, weight_bp)
