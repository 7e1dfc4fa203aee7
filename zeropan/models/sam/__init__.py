"""The SAM family: boxes and points to masks; SAM 3 as a box detector."""
