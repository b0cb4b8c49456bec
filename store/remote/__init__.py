"""Files and folders at URLs."""
