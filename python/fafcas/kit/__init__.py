"""The knowledge base of sql/ from Python: it is opened by `database`, notes are found by `folder`, read by `note`, and written
by `ingest`; `health` and `migrate` look after it, `demo` shows it round, `show` prints. `fafcas.command` is the way in."""
