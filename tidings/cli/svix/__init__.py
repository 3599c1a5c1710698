"""Coming from Svix: what a Svix server has, copied through the door that Tidings has for its SDKs."""
