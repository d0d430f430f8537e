"""`python -m covey.cli`, where the script `covey` is not on the path."""

from covey.cli import main

# Processes that a command starts import this module, too.
if __name__ == "__main__":
    main()
