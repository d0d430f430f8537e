"""How an installation is brought to a newer covey without a failed call: what is seen, and the plan that follows."""
