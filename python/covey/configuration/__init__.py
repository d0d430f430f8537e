"""What a process can be told: one list of options per process, from which flags, variables, file and pages follow.

A flag wins over a variable of the environment, that over the file, that over the default.
"""
