"""What is inside an image, as far as its name tells."""
