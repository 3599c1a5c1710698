"""Portal links: how a tenant's people reach their own pages."""
