"""Whether a store is whole: one check a fact that must hold, what to do where it does not, and what can be mended."""
