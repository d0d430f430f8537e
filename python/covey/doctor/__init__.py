"""What is wrong with an installation, and what to do: everything that can be seen from where one stands."""
