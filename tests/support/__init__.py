"""What tests stand on: encoders, models, images, archives and servers that they make."""
