"""The analysis in plain, readable NumPy: the baseline analyzer, and the oracle of the compiled core's tests."""
