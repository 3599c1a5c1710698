"""Moving from Svix: the configuration of a Svix server, copied through the API that Tidings has for Svix's SDKs."""
