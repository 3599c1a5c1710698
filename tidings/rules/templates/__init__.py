"""What templates work with: values that keep every digit, and filters."""
