"""Other systems, played by real ones: Kinto, and SOAP services of the package `soap`; and a proxy that misbehaves."""
