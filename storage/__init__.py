"""The Zarr artifact store: keys, layout, commit protocol, integrity."""
