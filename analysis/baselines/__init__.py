"""What people and other models reach on the same pictures, and how a run stands beside them."""
