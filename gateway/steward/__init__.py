"""The owner's hand behind the pages: passwords, sessions, decisions and the record, for whoever proves to be the owner.

It runs as root, because it writes what the owner's command writes and reads what that reads. It must never take a path, a
command or a statement from the pages, and never answer a token that it did not make.
"""
