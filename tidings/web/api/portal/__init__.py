"""The API of portal links."""
