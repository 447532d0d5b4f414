"""The command `fafcas`: `program` runs it and says what went wrong; each other module here has a few of its subcommands.

It stands on click, because that completes in the shells, quotes and checks arguments by itself, starts fast, and is what
sqlite-utils, Datasette and llm are made with, so that people know its ways. `import fafcas` needs none of it.
"""
