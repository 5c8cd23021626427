"""Use cases: domain rules carried out over ports, on Trio. No HTTP, no SQL, no files."""
