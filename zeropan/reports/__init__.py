"""What came of a run: plain data that travels as JSON, and its tables for people."""
