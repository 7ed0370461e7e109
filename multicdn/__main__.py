"""``python -m multicdn``: the command line, where the script of the same name isn't on the PATH."""

from multicdn.cli import main

main(prog_name="multicdn")
