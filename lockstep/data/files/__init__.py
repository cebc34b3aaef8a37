"""Reading of data files as people publish them; start with `lockstep/data/file_reading.py`, which
chooses a reader, and with `placed_rows.py`, which defines what a reader is given and yields."""
