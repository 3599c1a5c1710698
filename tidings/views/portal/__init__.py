"""Portal links as answers and pages show them."""
