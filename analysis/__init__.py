"""From stored vectors and labels to numbers, projections and figures."""
