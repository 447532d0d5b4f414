"""What the scripts share: a knowledge base is opened by `database`, notes are found by `folder`, read by `note`, and written
by `ingest`; `health` and `migrate` look after it, `show` prints."""
