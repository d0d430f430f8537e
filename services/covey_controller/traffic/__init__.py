"""Where a weight of the journal becomes traffic: applied with the lease's epoch, and read back."""
