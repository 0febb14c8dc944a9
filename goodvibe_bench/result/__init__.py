"""Results: score records into one, write, read, rank. Readers load no model and no record text."""
