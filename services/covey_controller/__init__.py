"""The rollout controller: one loop around the pure decision function."""

from covey.grpc_log import quiet

quiet()
