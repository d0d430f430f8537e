"""`python -m covey.cli`, where the script `covey` is not on the path."""

from covey.cli import main

main()
