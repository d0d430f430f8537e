"""The rollout controller: one loop around the pure decision function."""
