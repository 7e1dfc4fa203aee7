"""Pictures: panels, overlays, heat maps, legends. Pure functions from records to pixels."""
